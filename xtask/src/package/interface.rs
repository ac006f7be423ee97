//! The version of httpd's interface, which packages need.

use std::fs;

use anyhow::{Context, Result};
use xtask::apache::Apache;

/// The number of the httpd that the module is built for. Modules have to be built again when it
/// changes.
///
/// # Errors
/// httpd's headers are missing.
pub(crate) fn version() -> Result<String> {
    let header = Apache::find()?.include_dir.join("ap_mmn.h");
    let text =
        fs::read_to_string(&header).with_context(|| format!("cannot read {}", header.display()))?;
    let mut lines = text.lines();
    let number = lines.find_map(|line| line.strip_prefix("#define MODULE_MAGIC_NUMBER_MAJOR "));
    let number = number.context("ap_mmn.h has no version")?;
    Ok(number.trim().to_owned())
}
