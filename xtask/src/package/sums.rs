//! The file with the hashes of the packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xtask::command::output_of;

/// Writes the SHA-256 of `files`, which are in `folder`, into a file for `sha256sum --check`.
///
/// # Errors
/// `sha256sum` is missing, or a file cannot be read or written.
pub(crate) fn write(files: &[PathBuf], folder: &Path) -> Result<PathBuf> {
    let mut names = files
        .iter()
        .map(|file| file.file_name().context("a file without a name"))
        .collect::<Result<Vec<_>>>()?;
    names.sort_unstable();
    let sums = output_of(
        Command::new("sha256sum")
            .arg("--")
            .args(names)
            .current_dir(folder),
    )?;
    let file = folder.join("SHA256SUMS");
    fs::write(&file, sums + "\n")?;
    Ok(file)
}
