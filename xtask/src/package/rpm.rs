//! Packages for Fedora and its relatives.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xtask::command::output_of;

use super::contents::Contents;
use super::format::Format;
use super::interface;
use super::item::{self, Item};
use super::places::Places;
use super::release::{Release, SOURCE_DATE_EPOCH};

/// The description of both packages, for `rpmbuild`.
const SPEC: &str = include_str!("../../package/mod_websocket.spec");

/// Makes both packages in `folder`.
///
/// # Errors
/// `rpmbuild` is missing or fails, or a file cannot be written.
pub(crate) fn make(contents: &Contents, release: &Release, folder: &Path) -> Result<Vec<PathBuf>> {
    let work = TempDir::new()?;
    let tree = work.path().join("tree");
    item::stage(&contents.module, &tree)?;
    item::stage(&contents.development, &tree)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let places = Places::of(Format::Rpm);
    let in_doc = |name| Item::copy(&root.join(name), Path::new(places.doc).join(name));
    let legal = [in_doc("LICENSE")?, in_doc("CHANGELOG.md")?];
    item::stage(&legal, &tree)?;
    let spec = SPEC
        .replace("{{version}}", &release.version)
        .replace("{{revision}}", &release.revision.to_string())
        .replace("{{packager}}", &release.maintainer)
        .replace("{{tree}}", &tree.display().to_string())
        .replace("{{interface}}", &interface::version()?)
        .replace(
            "{{module}}",
            &listed(contents.module.iter().chain(&legal), &places)?,
        )
        .replace("{{development}}", &listed(&contents.development, &places)?);
    let file = work.path().join("mod_websocket.spec");
    fs::write(&file, spec)?;
    rpmbuild(&file, work.path(), release)?;
    collected(&work.path().join("made"), folder)
}

/// The lines of `%files`: the items, and the folders that only these packages have, which would
/// otherwise be left when they are removed.
fn listed<'a>(items: impl IntoIterator<Item = &'a Item>, places: &Places) -> Result<String> {
    let ours = [
        places.plugins,
        places.doc,
        places.development_doc,
        places.share,
    ];
    let mut lines = String::new();
    let mut folders = BTreeSet::new();
    for item in items {
        let above = item.target.ancestors().skip(1);
        folders.extend(above.filter(|folder| ours.iter().any(|it| folder.starts_with(it))));
        let kind = if item.is_settings {
            "%config(noreplace) "
        } else {
            ""
        };
        writeln!(
            lines,
            "%attr({:o}, root, root) {kind}\"{}\"",
            item.mode,
            item.target.display()
        )?;
    }
    for folder in folders {
        writeln!(
            lines,
            "%attr(755, root, root) %dir \"{}\"",
            folder.display()
        )?;
    }
    Ok(lines)
}

fn rpmbuild(spec: &Path, work: &Path, release: &Release) -> Result<()> {
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    let work = work.to_string_lossy();
    let mut command = Command::new("rpmbuild");
    command
        .arg("-bb")
        .args(define("_topdir", &format!("{work}/top")))
        .args(define("_rpmdir", &format!("{work}/made")))
        .args(define("_buildhost", "localhost"))
        .args(define("_binary_payload", "w3.zstdio"))
        .args(define("use_source_date_epoch_as_buildtime", "1"))
        .args(define("clamp_mtime_to_source_date_epoch", "1"))
        .arg(spec)
        .env(SOURCE_DATE_EPOCH, release.epoch.to_string())
        .stdin(Stdio::null());
    output_of(&mut command).context("packages for Fedora are made by rpmbuild")?;
    Ok(())
}

/// Moves the packages from the folders for each architecture to `folder`.
fn collected(made: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let pattern = glob::Pattern::escape(&made.to_string_lossy()) + "/*/*.rpm";
    let mut packages = Vec::new();
    for package in glob::glob(&pattern)? {
        let package = package?;
        let target = folder.join(package.file_name().context("no name")?);
        fs::copy(package, &target)?;
        packages.push(target);
    }
    Ok(packages)
}
