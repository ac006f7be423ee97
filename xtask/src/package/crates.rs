//! What authors of plugins in Rust need: the sources of the crates, and plugins to start from.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;
use xtask::workspace::Workspace;

use super::item::{Item, tree};
use super::places::Places;
use crate::template::{self, Origin, Style};

/// The name of the plugins to start from.
const NAME: &str = "my-plugin";

/// The crates, in a workspace of their own: their manifests take some lines from it.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn sources(places: &Places, workspace: &Workspace) -> Result<Vec<Item>> {
    const MEMBERS: [&str; 2] = ["plugin-core", "plugin-macros"];
    let root = workspace.root();
    let target = Path::new(places.share).join("crates");
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let mut items = vec![
        Item::new(target.join("Cargo.toml"), manifest_of(&manifest, &MEMBERS)?),
        Item::copy(&root.join("Cargo.lock"), target.join("Cargo.lock"))?,
    ];
    for member in MEMBERS {
        let target = target.join(member);
        for name in ["Cargo.toml", "README.md"] {
            let source = root.join(member).join(name);
            items.push(Item::copy(&source, target.join(name))?);
        }
        // The manifest names the benchmarks.
        for folder in ["benches", "include", "src"] {
            items.extend(tree(&root.join(member).join(folder), &target.join(folder))?);
        }
    }
    Ok(items)
}

/// The manifest of a workspace that has only some of its members.
fn manifest_of(manifest: &str, members: &[&str]) -> Result<String> {
    let (before, rest) = manifest
        .split_once("members = [")
        .context("no members in Cargo.toml")?;
    let (_, rest) = rest.split_once("]\n").context("no end of the members")?;
    // Profiles name packages that are not there.
    let (rest, _) = rest.split_once("[profile.").unwrap_or((rest, ""));
    let rest = rest.trim_end();
    Ok(format!("{before}members = {members:?}\n{rest}\n"))
}

/// The packages that `cargo xtask new-plugin` writes, one for each kind of plugin.
///
/// # Errors
/// A file cannot be read or written.
pub(crate) fn templates(places: &Places, workspace: &Workspace) -> Result<Vec<Item>> {
    let folder = TempDir::new()?;
    let name = NAME.parse()?;
    // An archive may be unpacked anywhere.
    let crates = Path::new(if places.share.starts_with('/') {
        places.share
    } else {
        "../.."
    });
    let origin = Origin::of_folder(&crates.join("crates/plugin-core"))?;
    let mut items = Vec::new();
    for (kind, style) in [
        ("echo", Style::Echo),
        ("async", Style::Async),
        ("json", Style::Json),
        ("topics", Style::Topics),
    ] {
        let package = folder.path().join(kind);
        template::write(&name, style, &origin, &package, workspace)?;
        let target = Path::new(places.share).join("templates").join(kind);
        items.extend(tree(&package, &target)?);
    }
    // Packages may not have files for a version control system.
    items.retain(|item| !item.target.ends_with(".gitignore"));
    Ok(items)
}
