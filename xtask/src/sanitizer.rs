//! The module with AddressSanitizer, in a stock httpd.
//!
//! Only the module is instrumented. `LD_PRELOAD` loads the sanitizer's runtime, which must be
//! clang's, because Rust's own supports only programs. The sanitizer checks the memory of APR's
//! pools only where a pool gets a block from the system.

use std::process::Command;

use anyhow::Result;
use xtask::command::run;
use xtask::server_root::TEST_PRELOAD;
use xtask::workspace::{TEST_MODULE, Workspace};

use crate::{asan_runtime, packages};

/// The target must be given, because build scripts would otherwise be instrumented, too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Abort on an error, so that httpd logs the signal. Leaks are ignored, because httpd never frees
/// some memory.
const ASAN_OPTIONS: &str = "abort_on_error=1:detect_leaks=0";

/// Builds the module with the sanitizer, and makes `tests`, which start httpd, load it.
///
/// # Errors
/// The runtime cannot be installed, or the build fails.
pub(crate) fn use_address_sanitizer(workspace: &Workspace, tests: &mut Command) -> Result<()> {
    packages::install_sanitizer()?;
    let runtime = asan_runtime::path()?;
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
