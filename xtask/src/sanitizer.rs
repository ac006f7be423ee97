//! The module under AddressSanitizer, in a stock httpd.
//!
//! The module alone is instrumented. httpd finds the sanitizer's runtime through `LD_PRELOAD`: clang's,
//! as Rust's own is made for programs only. Memory of APR's pools is checked as far as the pools get it
//! from the system.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::command::run;
use xtask::server_root::TEST_PRELOAD;
use xtask::workspace::{TEST_MODULE, Workspace};

/// The target has to be named, or build scripts would be instrumented too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where clang's packages put the runtime.
const RUNTIME: &str = "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-x86_64.so";

/// Aborts, so that httpd logs the signal; what httpd never frees is no finding.
const ASAN_OPTIONS: &str = "abort_on_error=1:detect_leaks=0";

/// Builds the module with the sanitizer and has `tests`, which start httpd, load it.
///
/// # Errors
/// There is no runtime, or the build fails.
pub(crate) fn use_address_sanitizer(workspace: &Workspace, tests: &mut Command) -> Result<()> {
    let runtime = runtime()?;
    let target_dir = workspace.target_dir().join("asan");
    run(workspace
        .cargo()
        .args(["build", "--package", "mod_websocket", "--lib"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        // Stable toolchains have the sanitizer, but not the option.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=address"))?;
    let module = target_dir.join(TARGET).join("debug/libmod_websocket.so");
    tests
        .env(TEST_MODULE, module)
        .env(TEST_PRELOAD, runtime)
        .env("ASAN_OPTIONS", ASAN_OPTIONS);
    Ok(())
}

fn runtime() -> Result<PathBuf> {
    let found = glob::glob(RUNTIME)?.filter_map(Result::ok).max();
    found.with_context(|| {
        format!("no {RUNTIME}: install clang's runtime (Debian: apt install libclang-rt-14-dev)")
    })
}
