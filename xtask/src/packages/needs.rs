//! What building and testing needs, and the packages that have it.

use super::present;
#[cfg(target_os = "linux")]
use crate::asan_runtime;

/// A requirement of building or testing, and the packages that provide it.
pub(super) struct Need {
    pub(super) what: &'static str,
    pub(super) is_met: fn() -> bool,
    pub(super) debian: &'static [&'static str],
    pub(super) fedora: &'static [&'static str],
    pub(super) homebrew: &'static [&'static str],
}

/// Debian's `apache2` itself is not needed. It would start a service, and only configures the
/// program of `apache2-bin`.
pub(super) const NEEDS: [Need; 7] = [
    Need {
        what: "a C compiler",
        is_met: present::has_c_compiler,
        debian: &["gcc", "libc6-dev"],
        fedora: &["gcc", "glibc-devel"],
        homebrew: &["gcc"],
    },
    Need {
        what: "a C++ compiler",
        is_met: present::has_cpp_compiler,
        debian: &["g++"],
        fedora: &["gcc-c++"],
        homebrew: &["gcc"],
    },
    Need {
        what: "Apache httpd",
        is_met: present::has_httpd,
        debian: &["apache2-bin"],
        fedora: &["httpd"],
        homebrew: &["httpd"],
    },
    Need {
        what: "Apache's headers and apxs",
        is_met: present::has_headers,
        debian: &["apache2-dev"],
        fedora: &["httpd-devel"],
        homebrew: &["httpd"],
    },
    Need {
        what: "mod_ssl",
        is_met: present::has_mod_ssl,
        debian: &["apache2-bin"],
        fedora: &["mod_ssl"],
        homebrew: &["httpd"],
    },
    Need {
        what: "the command openssl",
        is_met: present::has_openssl,
        debian: &["openssl"],
        fedora: &["openssl"],
        homebrew: &["openssl"],
    },
    Need {
        what: "libclang",
        is_met: present::has_libclang,
        debian: &["libclang-dev"],
        fedora: &["clang-devel"],
        homebrew: &["llvm"],
    },
];

/// The Autobahn test suite needs it. Debian's Python lacks ensurepip without python3-venv.
pub(super) const PYTHON: [Need; 1] = [Need {
    what: "Python 3.10 with venv",
    is_met: present::has_python,
    debian: &["python3", "python3-venv"],
    fedora: &["python3"],
    homebrew: &["python3"],
}];

/// The tests behind a proxy, those with a network of their own, those of packages, and that of the
/// documentation's commands need them; without them they are skipped. Debian's packages of proxies
/// start services, which are not wanted on a developer's machine.
pub(super) const FOR_CI: [Need; 7] = [
    Need {
        what: "the tools that check packages",
        is_met: present::has_package_checks,
        debian: &[
            "binutils",
            "dpkg-dev",
            "lintian",
            "mmdebstrap",
            "pkg-config",
            "rpm",
        ],
        fedora: &["dpkg-dev", "lintian", "mmdebstrap", "pkgconf", "rpm-build"],
        homebrew: &["dpkg", "pkgconf", "rpm"],
    },
    Need {
        what: "the command ip",
        is_met: present::has_ip,
        debian: &["iproute2"],
        fedora: &["iproute"],
        homebrew: &["iproute2mac"],
    },
    Need {
        what: "curl",
        is_met: present::has_curl,
        debian: &["curl"],
        fedora: &["curl"],
        homebrew: &["curl"],
    },
    Need {
        what: "Redis",
        is_met: present::has_redis,
        debian: &["redis-server"],
        fedora: &["redis"],
        homebrew: &["redis"],
    },
    Need {
        what: "NATS",
        is_met: present::has_nats,
        debian: &["nats-server"],
        fedora: &["nats-server"],
        homebrew: &["nats-server"],
    },
    Need {
        what: "nginx",
        is_met: present::has_nginx,
        debian: &["nginx"],
        fedora: &["nginx"],
        homebrew: &["nginx"],
    },
    Need {
        what: "haproxy",
        is_met: present::has_haproxy,
        debian: &["haproxy"],
        fedora: &["haproxy"],
        homebrew: &["haproxy"],
    },
];

/// `cargo xtask platforms` needs it where the current toolchain lacks the standard library.
pub(super) const STD_SOURCE: [Need; 1] = [Need {
    what: "a compiler with the source of the standard library",
    is_met: present::has_std_source,
    debian: &["cargo-web", "rust-web-src", "rustc-web"],
    fedora: &["cargo", "rust", "rust-src"],
    homebrew: &["rust"],
}];

/// `cargo xtask platforms` needs them for Windows.
pub(super) const WINDOWS: [Need; 1] = [Need {
    what: "mingw-w64 and Wine",
    is_met: present::has_windows_tools,
    debian: &[
        "gcc-mingw-w64-i686-posix",
        "gcc-mingw-w64-x86-64-posix",
        "wine64",
    ],
    fedora: &["mingw32-gcc", "mingw64-gcc", "wine-core"],
    homebrew: &["mingw-w64", "wine-stable"],
}];

/// `cargo xtask platforms` needs them for ARM.
pub(super) const ARM: [Need; 1] = [Need {
    what: "a compiler and an emulator for 64-bit ARM",
    is_met: present::has_arm_tools,
    debian: &[
        "gcc-aarch64-linux-gnu",
        "libc6-dev-arm64-cross",
        "qemu-user",
    ],
    fedora: &["gcc-aarch64-linux-gnu", "qemu-user"],
    homebrew: &["qemu"],
}];

/// `cargo xtask package deb` needs it.
pub(super) const DEB: [Need; 1] = [Need {
    what: "the tools for packages of Debian",
    is_met: present::has_dpkg_tools,
    debian: &["binutils", "dpkg-dev"],
    fedora: &["dpkg-dev"],
    homebrew: &["dpkg"],
}];

/// `cargo xtask package rpm` needs it.
pub(super) const RPM: [Need; 1] = [Need {
    what: "rpmbuild",
    is_met: present::has_rpmbuild,
    debian: &["rpm"],
    fedora: &["rpm-build"],
    homebrew: &["rpm"],
}];

/// Only some tests need it, and they can be skipped.
pub(super) const BROWSER: [Need; 1] = [Need {
    what: "Chromium and its WebDriver server",
    is_met: present::has_browser,
    debian: &["chromium", "chromium-driver"],
    fedora: &["chromedriver", "chromium"],
    homebrew: &["chromedriver", "chromium"],
}];

/// `cargo xtask test --asan` preloads it.
#[cfg(target_os = "linux")]
pub(super) const SANITIZER: [Need; 1] = [Need {
    what: "clang's AddressSanitizer",
    is_met: asan_runtime::is_installed,
    debian: &["libclang-rt-dev"],
    fedora: &["compiler-rt"],
    homebrew: &["llvm"],
}];
