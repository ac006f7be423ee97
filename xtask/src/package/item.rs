//! One file of a package.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

/// A file of a package.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its path on the system that installs it, or in the archive.
    pub(crate) target: PathBuf,
    /// Its bytes.
    pub(crate) content: Vec<u8>,
    /// Its permissions.
    pub(crate) mode: u32,
    /// Whether administrators edit it.
    pub(crate) is_settings: bool,
}

impl Item {
    /// A file that everybody may read.
    pub(crate) fn new(target: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            target: target.into(),
            content: content.into(),
            mode: 0o644,
            is_settings: false,
        }
    }

    /// A copy of a file.
    pub(crate) fn copy(source: &Path, target: impl Into<PathBuf>) -> Result<Self> {
        let content =
            fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        Ok(Self::new(target, content))
    }

    /// A copy of a program that everybody may run.
    pub(crate) fn program(source: &Path, target: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self {
            mode: 0o755,
            ..Self::copy(source, target)?
        })
    }

    /// A file that administrators edit.
    pub(crate) fn settings(target: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            is_settings: true,
            ..Self::new(target, content)
        }
    }

    /// A file that is compressed as distributions want it: as far as possible, without a time.
    pub(crate) fn compressed(target: impl Into<PathBuf>, content: &[u8]) -> Result<Self> {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(content)?;
        Ok(Self::new(target, gzip.finish()?))
    }
}

/// Copies of all files in a folder and those below it, for the folder `target`.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn tree(folder: &Path, target: &Path) -> Result<Vec<Item>> {
    let pattern = glob::Pattern::escape(&folder.to_string_lossy()) + "/**/*";
    let mut items = Vec::new();
    for file in glob::glob(&pattern)? {
        let file: PathBuf = file?;
        if file.is_file() {
            items.push(Item::copy(&file, target.join(file.strip_prefix(folder)?))?);
        }
    }
    Ok(items)
}

/// Writes the files below `folder`, with folders that everybody may enter.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn stage(items: &[Item], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    open(folder, 0o755)?;
    for item in items {
        let inner = item.target.strip_prefix("/").unwrap_or(&item.target);
        let file = folder.join(inner);
        let parent = file.parent().context("a file without a folder")?;
        fs::create_dir_all(parent)?;
        for ancestor in inner.ancestors().skip(1) {
            open(&folder.join(ancestor), 0o755)?;
        }
        fs::write(&file, &item.content)
            .with_context(|| format!("cannot write {}", file.display()))?;
        open(&file, item.mode)?;
    }
    Ok(())
}
