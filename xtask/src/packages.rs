//! Finds missing system packages, and installs them.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};
use xtask::apache::{Apache, find_apxs, which};
use xtask::broker::Kind;
use xtask::browser::{Browser, Policy, TEST_BROWSER};
use xtask::command::run;

#[cfg(target_os = "linux")]
use crate::asan_runtime;
use crate::package::Format;
use crate::privileges::Privileges;

/// A requirement of building or testing, and the packages that provide it.
struct Need {
    what: &'static str,
    is_met: fn() -> bool,
    debian: &'static [&'static str],
    fedora: &'static [&'static str],
    homebrew: &'static [&'static str],
}

/// Debian's `apache2` itself is not needed. It would start a service, and only configures the
/// program of `apache2-bin`.
const NEEDS: [Need; 7] = [
    Need {
        what: "a C compiler",
        is_met: has_c_compiler,
        debian: &["gcc", "libc6-dev"],
        fedora: &["gcc", "glibc-devel"],
        homebrew: &["gcc"],
    },
    Need {
        what: "a C++ compiler",
        is_met: has_cpp_compiler,
        debian: &["g++"],
        fedora: &["gcc-c++"],
        homebrew: &["gcc"],
    },
    Need {
        what: "Apache httpd",
        is_met: has_httpd,
        debian: &["apache2-bin"],
        fedora: &["httpd"],
        homebrew: &["httpd"],
    },
    Need {
        what: "Apache's headers and apxs",
        is_met: has_headers,
        debian: &["apache2-dev"],
        fedora: &["httpd-devel"],
        homebrew: &["httpd"],
    },
    Need {
        what: "mod_ssl",
        is_met: has_mod_ssl,
        debian: &["apache2-bin"],
        fedora: &["mod_ssl"],
        homebrew: &["httpd"],
    },
    Need {
        what: "the command openssl",
        is_met: has_openssl,
        debian: &["openssl"],
        fedora: &["openssl"],
        homebrew: &["openssl"],
    },
    Need {
        what: "libclang",
        is_met: has_libclang,
        debian: &["libclang-dev"],
        fedora: &["clang-devel"],
        homebrew: &["llvm"],
    },
];

/// The Autobahn test suite needs it. Debian's Python lacks ensurepip without python3-venv.
const PYTHON: [Need; 1] = [Need {
    what: "Python 3.10 with venv",
    is_met: has_python,
    debian: &["python3", "python3-venv"],
    fedora: &["python3"],
    homebrew: &["python3"],
}];

/// The tests behind a proxy, those with a network of their own, and those of packages need them;
/// without them they are skipped. Debian's packages of proxies start services, which are not wanted
/// on a developer's machine.
const FOR_CI: [Need; 6] = [
    Need {
        what: "the tools that check packages",
        is_met: has_package_checks,
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
        is_met: has_ip,
        debian: &["iproute2"],
        fedora: &["iproute"],
        homebrew: &["iproute2mac"],
    },
    Need {
        what: "Redis",
        is_met: has_redis,
        debian: &["redis-server"],
        fedora: &["redis"],
        homebrew: &["redis"],
    },
    Need {
        what: "NATS",
        is_met: has_nats,
        debian: &["nats-server"],
        fedora: &["nats-server"],
        homebrew: &["nats-server"],
    },
    Need {
        what: "nginx",
        is_met: has_nginx,
        debian: &["nginx"],
        fedora: &["nginx"],
        homebrew: &["nginx"],
    },
    Need {
        what: "haproxy",
        is_met: has_haproxy,
        debian: &["haproxy"],
        fedora: &["haproxy"],
        homebrew: &["haproxy"],
    },
];

/// `cargo xtask platforms` needs them.
const PLATFORMS: [Need; 3] = [
    Need {
        what: "a compiler with the source of the standard library",
        is_met: has_std_source,
        debian: &["cargo-web", "rust-web-src", "rustc-web"],
        fedora: &["cargo", "rust", "rust-src"],
        homebrew: &["rust"],
    },
    Need {
        what: "mingw-w64 and Wine",
        is_met: has_windows_tools,
        debian: &[
            "gcc-mingw-w64-i686-posix",
            "gcc-mingw-w64-x86-64-posix",
            "wine64",
        ],
        fedora: &["mingw32-gcc", "mingw64-gcc", "wine-core"],
        homebrew: &["mingw-w64", "wine-stable"],
    },
    Need {
        what: "a compiler and an emulator for 64-bit ARM",
        is_met: has_arm_tools,
        debian: &[
            "gcc-aarch64-linux-gnu",
            "libc6-dev-arm64-cross",
            "qemu-user",
        ],
        fedora: &["gcc-aarch64-linux-gnu", "qemu-user"],
        homebrew: &["qemu"],
    },
];

/// `cargo xtask package deb` needs it.
const DEB: [Need; 1] = [Need {
    what: "the tools for packages of Debian",
    is_met: has_dpkg_tools,
    debian: &["binutils", "dpkg-dev"],
    fedora: &["dpkg-dev"],
    homebrew: &["dpkg"],
}];

/// `cargo xtask package rpm` needs it.
const RPM: [Need; 1] = [Need {
    what: "rpmbuild",
    is_met: has_rpmbuild,
    debian: &["rpm"],
    fedora: &["rpm-build"],
    homebrew: &["rpm"],
}];

/// Only some tests need it, and they can be skipped.
const BROWSER: [Need; 1] = [Need {
    what: "Chromium and its WebDriver server",
    is_met: has_browser,
    debian: &["chromium", "chromium-driver"],
    fedora: &["chromedriver", "chromium"],
    homebrew: &["chromedriver", "chromium"],
}];

/// `cargo xtask test --asan` preloads it.
#[cfg(target_os = "linux")]
const SANITIZER: [Need; 1] = [Need {
    what: "clang's AddressSanitizer",
    is_met: asan_runtime::is_installed,
    debian: &["libclang-rt-dev"],
    fedora: &["compiler-rt"],
    homebrew: &["llvm"],
}];

/// Installs missing packages.
///
/// # Errors
/// There is no known package manager, this user may not install packages (the error then contains
/// the command to run), or the installation fails.
pub(crate) fn install_missing() -> Result<()> {
    install(&NEEDS)
}

/// Installs the Python that the Autobahn test suite needs.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_python() -> Result<()> {
    install(&PYTHON)
}

/// Like [`install_python`], but only prints an error. The tests then skip the suite, or fail in CI.
pub(crate) fn install_python_if_possible() {
    if let Err(error) = install_python() {
        eprintln!("warning: {error:#}");
    }
}

/// Installs the runtime that the tests with AddressSanitizer preload.
///
/// # Errors
/// As [`install_missing`].
#[cfg(target_os = "linux")]
pub(crate) fn install_sanitizer() -> Result<()> {
    install(&SANITIZER)
}

/// Installs what some of the tests need in CI, such as proxies. Elsewhere they use what is
/// installed.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_more_in_ci() -> Result<()> {
    match env::var_os("CI") {
        Some(_) => install(&FOR_CI),
        None => Ok(()),
    }
}

/// Installs the tools that make packages of these formats.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_for_packages(formats: &[Format]) -> Result<()> {
    for format in formats {
        match format {
            Format::Deb => install(&DEB)?,
            Format::Rpm => install(&RPM)?,
            Format::Tar => {}
        }
    }
    Ok(())
}

/// Installs what building for other platforms needs.
///
/// # Errors
/// As [`install_missing`].
pub(crate) fn install_for_platforms() -> Result<()> {
    install(&PLATFORMS)
}

/// Installs the browser for the tests, unless the tests with a browser are off.
///
/// # Errors
/// As [`install_missing`], if the tests require a browser. Otherwise the error is only printed.
pub(crate) fn install_browser() -> Result<()> {
    let policy = Policy::of_environment()?;
    if policy == Policy::Off {
        return Ok(());
    }
    match install(&BROWSER) {
        Err(error) if policy == Policy::IfPresent => {
            eprintln!(
                "warning: no tests with a browser: {error:#}\n\
                 ({TEST_BROWSER}=off in the environment avoids the attempt)"
            );
            Ok(())
        }
        outcome => outcome,
    }
}

fn install(needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let names = names(&missing);
    let Some(manager) = Manager::find() else {
        bail!("missing: {names}; there is no apt-get, dnf or brew here to install them");
    };
    let commands = manager.commands(&missing);
    let privileges = Privileges::of_this_user();
    if privileges == Privileges::None && manager.wants_root() {
        bail!(
            "missing: {names}; install them with\n\n  {}\n",
            as_typed(&commands)
        );
    }

    eprintln!("Missing: {names}. Installing them.");
    for command in &commands {
        run(manager.command(privileges, command)?.stdin(Stdio::null()))?;
    }
    let missing = self::missing(needs);
    ensure!(
        missing.is_empty(),
        "still missing after the installation: {}",
        self::names(&missing)
    );
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<&Need> {
    needs.iter().filter(|need| !(need.is_met)()).collect()
}

fn names(needs: &[&Need]) -> String {
    needs
        .iter()
        .map(|need| need.what)
        .collect::<Vec<_>>()
        .join(", ")
}

fn as_typed(commands: &[Vec<&str>]) -> String {
    let lines = commands
        .iter()
        .map(|words| format!("sudo {}", words.join(" ")));
    lines.collect::<Vec<_>>().join(" && ")
}

#[derive(Clone, Copy)]
enum Manager {
    Apt,
    Dnf,
    Homebrew,
}

impl Manager {
    fn find() -> Option<Self> {
        [
            ("apt-get", Self::Apt),
            ("dnf", Self::Dnf),
            ("brew", Self::Homebrew),
        ]
        .into_iter()
        .find_map(|(program, manager)| which(program).map(|_| manager))
    }

    /// Whether it must run as root. Homebrew refuses root.
    fn wants_root(self) -> bool {
        !matches!(self, Self::Homebrew)
    }

    /// The command lines that install the packages for `needs`.
    fn commands(self, needs: &[&Need]) -> Vec<Vec<&'static str>> {
        let packages = |of: fn(&Need) -> &'static [&'static str]| {
            let mut packages: Vec<_> = needs.iter().flat_map(|need| of(need)).copied().collect();
            packages.sort_unstable();
            packages.dedup();
            packages
        };
        let install = |words: &[&'static str], packages: Vec<&'static str>| {
            words.iter().copied().chain(packages).collect::<Vec<_>>()
        };
        match self {
            Self::Apt => vec![
                vec!["apt-get", "update"],
                install(
                    &["apt-get", "install", "--yes", "--no-install-recommends"],
                    packages(|need| need.debian),
                ),
            ],
            Self::Dnf => vec![install(
                &["dnf", "install", "-y"],
                packages(|need| need.fedora),
            )],
            Self::Homebrew => vec![install(
                &["brew", "install"],
                packages(|need| need.homebrew),
            )],
        }
    }

    fn command(self, privileges: Privileges, words: &[&str]) -> Result<Command> {
        if !self.wants_root() {
            let mut command = Command::new("brew");
            command.args(words.iter().skip(1));
            return Ok(command);
        }
        // With env, because sudo drops environment variables.
        let mut command = privileges.command("env")?;
        command.arg("DEBIAN_FRONTEND=noninteractive").args(words);
        Ok(command)
    }
}

fn has_c_compiler() -> bool {
    can_preprocess("CC", "cc", ["c", "stdlib.h"])
}

/// libFuzzer and one of the tests' plugins are in C++.
fn has_cpp_compiler() -> bool {
    can_preprocess("CXX", "c++", ["c++", "cstdlib"])
}

fn can_preprocess(variable: &str, program: &str, [language, header]: [&str; 2]) -> bool {
    let mut compiler = Command::new(env::var_os(variable).unwrap_or_else(|| program.into()));
    compiler.args(["-E", "-x", language, "-include", header, "/dev/null"]);
    let quiet = compiler
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn has_httpd() -> bool {
    Apache::find().is_ok() || which("apache2").or_else(|| which("httpd")).is_some()
}

fn has_headers() -> bool {
    find_apxs().is_ok()
        && Apache::find().is_ok_and(|apache| apache.include_dir.join("httpd.h").is_file())
}

fn has_mod_ssl() -> bool {
    Apache::find()
        .is_ok_and(|apache| apache.has_static("mod_ssl.c") || apache.stock_module("ssl").is_file())
}

/// The tests use it as a client for features that rustls does not have.
fn has_openssl() -> bool {
    which("openssl").is_some()
}

/// bindgen loads libclang, which needs its own headers (`stddef.h`).
fn has_libclang() -> bool {
    const LIBRARIES: [&str; 6] = [
        "/usr/lib/llvm-*/lib/libclang[.-][s0-9]*",
        "/usr/lib/*-linux-gnu/libclang[.-][s0-9]*",
        "/usr/lib*/libclang.so*",
        "/usr/local/lib/libclang.so*",
        "/opt/homebrew/opt/llvm/lib/libclang.dylib",
        "/Library/Developer/CommandLineTools/usr/lib/libclang.dylib",
    ];
    const HEADERS: [&str; 4] = [
        "/usr/lib/llvm-*/lib/clang/*/include/stddef.h",
        "/usr/lib*/clang/*/include/stddef.h",
        "/opt/homebrew/opt/llvm/lib/clang/*/include/stddef.h",
        "/Library/Developer/CommandLineTools/usr/lib/clang/*/include/stddef.h",
    ];
    env::var_os("LIBCLANG_PATH").is_some_and(|path| Path::new(&path).exists())
        || (any_exists(&LIBRARIES) && any_exists(&HEADERS))
}

fn has_std_source() -> bool {
    Path::new("/usr/bin/cargo").is_file()
        && Path::new("/usr/lib/rustlib/src/rust/library/std").is_dir()
}

fn has_windows_tools() -> bool {
    let wine = which("wine64").is_some() || Path::new("/usr/lib/wine/wine64").is_file();
    let compilers = ["i686-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc"];
    wine && compilers.iter().all(|compiler| which(compiler).is_some())
}

fn has_arm_tools() -> bool {
    ["aarch64-linux-gnu-gcc", "qemu-aarch64"]
        .iter()
        .all(|program| which(program).is_some())
        && Path::new("/usr/aarch64-linux-gnu/lib/libc.so.6").exists()
}

fn has_python() -> bool {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    let mut python = Command::new("python3");
    let quiet = python.args(["-c", check]).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn has_nginx() -> bool {
    which("nginx").is_some()
}

fn has_ip() -> bool {
    which("ip").is_some()
}

fn has_haproxy() -> bool {
    which("haproxy").is_some()
}

fn has_redis() -> bool {
    which(Kind::Redis.program()).is_some()
}

fn has_nats() -> bool {
    which(Kind::Nats.program()).is_some()
}

fn has_dpkg_tools() -> bool {
    ["dpkg-deb", "dpkg-shlibdeps", "strip"]
        .into_iter()
        .all(|program| which(program).is_some())
}

fn has_rpmbuild() -> bool {
    which("rpmbuild").is_some()
}

fn has_package_checks() -> bool {
    has_dpkg_tools()
        && has_rpmbuild()
        && ["lintian", "mmdebstrap", "pkg-config"]
            .into_iter()
            .all(|program| which(program).is_some())
}

fn has_browser() -> bool {
    Browser::find().is_some()
}

fn any_exists(patterns: &[&str]) -> bool {
    patterns
        .iter()
        .any(|pattern| glob::glob(pattern).is_ok_and(|mut files| files.next().is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_installed_once() {
        let everything: Vec<_> = NEEDS.iter().collect();
        let lines = |manager: Manager| as_typed(&manager.commands(&everything));
        assert_eq!(
            lines(Manager::Apt),
            "sudo apt-get update && sudo apt-get install --yes --no-install-recommends \
             apache2-bin apache2-dev g++ gcc libc6-dev libclang-dev openssl"
        );
        assert_eq!(
            lines(Manager::Dnf),
            "sudo dnf install -y clang-devel gcc gcc-c++ glibc-devel httpd httpd-devel mod_ssl \
             openssl"
        );
    }
}
