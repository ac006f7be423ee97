//! Whether this machine has something.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use xtask::apache::{Apache, find_apxs, which};
use xtask::broker::Kind;
use xtask::browser::Browser;

pub(super) fn has_c_compiler() -> bool {
    can_preprocess("CC", "cc", ["c", "stdlib.h"])
}

/// libFuzzer and one of the tests' plugins are in C++.
pub(super) fn has_cpp_compiler() -> bool {
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

pub(super) fn has_httpd() -> bool {
    Apache::find().is_ok() || which("apache2").or_else(|| which("httpd")).is_some()
}

pub(super) fn has_headers() -> bool {
    find_apxs().is_ok()
        && Apache::find().is_ok_and(|apache| apache.include_dir.join("httpd.h").is_file())
}

pub(super) fn has_mod_ssl() -> bool {
    Apache::find()
        .is_ok_and(|apache| apache.has_static("mod_ssl.c") || apache.stock_module("ssl").is_file())
}

/// The tests use it as a client for features that rustls does not have.
pub(super) fn has_openssl() -> bool {
    which("openssl").is_some()
}

/// bindgen loads libclang, which needs its own headers (`stddef.h`).
pub(super) fn has_libclang() -> bool {
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

pub(super) fn has_std_source() -> bool {
    Path::new("/usr/bin/cargo").is_file()
        && Path::new("/usr/lib/rustlib/src/rust/library/std").is_dir()
}

pub(super) fn has_windows_tools() -> bool {
    let wine = which("wine64").is_some() || Path::new("/usr/lib/wine/wine64").is_file();
    let compilers = ["i686-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc"];
    wine && compilers.iter().all(|compiler| which(compiler).is_some())
}

pub(super) fn has_arm_tools() -> bool {
    ["aarch64-linux-gnu-gcc", "qemu-aarch64"]
        .iter()
        .all(|program| which(program).is_some())
        && Path::new("/usr/aarch64-linux-gnu/lib/libc.so.6").exists()
}

pub(super) fn has_python() -> bool {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    let mut python = Command::new("python3");
    let quiet = python.args(["-c", check]).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

pub(super) fn has_nginx() -> bool {
    which("nginx").is_some()
}

pub(super) fn has_ip() -> bool {
    which("ip").is_some()
}

pub(super) fn has_curl() -> bool {
    which("curl").is_some()
}

pub(super) fn has_haproxy() -> bool {
    which("haproxy").is_some()
}

pub(super) fn has_redis() -> bool {
    which(Kind::Redis.program()).is_some()
}

pub(super) fn has_nats() -> bool {
    which(Kind::Nats.program()).is_some()
}

pub(super) fn has_dpkg_tools() -> bool {
    ["dpkg-deb", "dpkg-shlibdeps", "strip"]
        .into_iter()
        .all(|program| which(program).is_some())
}

pub(super) fn has_rpmbuild() -> bool {
    which("rpmbuild").is_some()
}

pub(super) fn has_package_checks() -> bool {
    has_dpkg_tools()
        && has_rpmbuild()
        && ["lintian", "mmdebstrap", "pkg-config"]
            .into_iter()
            .all(|program| which(program).is_some())
}

pub(super) fn has_browser() -> bool {
    Browser::find().is_some()
}

fn any_exists(patterns: &[&str]) -> bool {
    patterns
        .iter()
        .any(|pattern| glob::glob(pattern).is_ok_and(|mut files| files.next().is_some()))
}
