//! Where clang's packages have the runtime of AddressSanitizer.

use std::path::PathBuf;

use anyhow::{Context, Result};

const PATH: &str = "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-x86_64.so";

/// Whether the runtime is installed.
pub(crate) fn is_installed() -> bool {
    path().is_ok()
}

/// # Errors
/// It is not installed.
pub(crate) fn path() -> Result<PathBuf> {
    let found = glob::glob(PATH)?.filter_map(Result::ok).max();
    found.with_context(|| format!("no {PATH}"))
}
