//! The archive, with the folders of `ServerRoot`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;
use xtask::command::run;

use super::contents::Contents;
use super::item::{self, Item};
use super::release::Release;

/// Makes the archive in `folder`, with the files of both packages.
///
/// # Errors
/// GNU tar or gzip is missing, or a file cannot be written.
pub(crate) fn make(contents: &Contents, release: &Release, folder: &Path) -> Result<PathBuf> {
    let name = format!(
        "mod_websocket-{}-{}-{}",
        release.version,
        env::consts::ARCH,
        env::consts::OS
    );
    let staged = TempDir::new()?;
    let inner = staged.path().join(&name);
    item::stage(&contents.module, &inner)?;
    item::stage(&contents.development, &inner)?;
    let root = env!("CARGO_MANIFEST_DIR");
    let legal = Item::copy(
        &Path::new(root).join("../LICENSE"),
        "share/doc/mod_websocket/LICENSE",
    )?;
    item::stage(&[legal], &inner)?;

    let archive = folder.join(&name).with_added_extension("tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--format=gnu"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", release.epoch))
        .arg("--use-compress-program=gzip -n")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(staged.path())
        .arg(&name);
    run(&mut tar)?;
    Ok(archive)
}
