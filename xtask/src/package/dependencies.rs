//! The crates that are linked into the libraries of a package.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use xtask::workspace::{DOCTOR, Workspace};

/// A crate.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    pub(crate) description: Option<String>,
    /// The SHA-256 of the crate's file on crates.io; those of this workspace have none.
    pub(crate) checksum: Option<String>,
    /// The folder of its sources.
    pub(crate) folder: PathBuf,
    /// The names and versions of those that it is linked with.
    pub(crate) needs: BTreeSet<(String, String)>,
}

/// The crates that are linked into the module, its plugins and the doctor, by name and version.
#[derive(Debug)]
pub(crate) struct Dependencies(BTreeMap<(String, String), Crate>);

impl Dependencies {
    /// Those that `Cargo.lock` has.
    ///
    /// # Errors
    /// Cargo fails, or `Cargo.lock` cannot be read.
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let metadata =
            workspace.resolved_metadata(&format!("{}-unknown-linux-gnu", env::consts::ARCH))?;
        let roots = workspace.served_packages();
        let roots = roots.iter().map(String::as_str).chain([DOCTOR]).collect();
        let lock = fs::read_to_string(workspace.root().join("Cargo.lock"))?;
        Self::linked(&metadata, &roots, &checksums(&lock))
    }

    fn linked(
        metadata: &Metadata,
        roots: &BTreeSet<&str>,
        checksums: &HashMap<(&str, &str), &str>,
    ) -> Result<Self> {
        let resolve = metadata.resolve.as_ref().context("no dependencies")?;
        let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let packages: HashMap<_, _> = metadata.packages.iter().map(|it| (&it.id, it)).collect();
        let is_root = |it: &&Package| {
            metadata.workspace_members.contains(&it.id) && roots.contains(it.name.as_str())
        };
        let mut waiting: Vec<&PackageId> = metadata
            .packages
            .iter()
            .filter(is_root)
            .map(|package| &package.id)
            .collect();
        let mut crates = BTreeMap::new();
        while let Some(id) = waiting.pop() {
            let package = packages[id];
            if crates.contains_key(&key(package)) {
                continue;
            }
            let needs = nodes[id].deps.iter().filter(|need| {
                let mut kinds = need.dep_kinds.iter();
                kinds.any(|kind| kind.kind == DependencyKind::Normal)
            });
            // Macros run in the compiler.
            let needs: Vec<_> = needs
                .map(|need| &need.pkg)
                .filter(|id| {
                    !packages[id]
                        .targets
                        .iter()
                        .any(cargo_metadata::Target::is_proc_macro)
                })
                .collect();
            waiting.extend(&needs);
            let needs = needs.into_iter().map(|id| key(packages[id])).collect();
            crates.insert(key(package), described(package, needs, checksums)?);
        }
        Ok(Self(crates))
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Crate> {
        self.0.values()
    }
}

fn key(package: &Package) -> (String, String) {
    (package.name.to_string(), package.version.to_string())
}

fn described(
    package: &Package,
    needs: BTreeSet<(String, String)>,
    checksums: &HashMap<(&str, &str), &str>,
) -> Result<Crate> {
    let (name, version) = key(package);
    let folder = package.manifest_path.parent().context("no folder")?;
    let checksum = checksums
        .get(&(&*name, &*version))
        .map(|&sum| sum.to_owned());
    Ok(Crate {
        checksum,
        licence: package.license.clone(),
        description: package.description.clone(),
        folder: folder.into(),
        needs,
        name,
        version,
    })
}

/// The hashes in a `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> HashMap<(&str, &str), &str> {
    let value = |section: &'_ str, key: &str| -> Option<(usize, usize)> {
        let start = section.find(&format!("\n{key} = \""))? + key.len() + 5;
        Some((start, start + section[start..].find('"')?))
    };
    let sections = lock.split("[[package]]").skip(1);
    let of_section = |section| {
        let text =
            |key| value(section, key).map(|(start, end): (usize, usize)| &section[start..end]);
        Some(((text("name")?, text("version")?), text("checksum")?))
    };
    sections.filter_map(of_section).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_in_a_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n\n\
            [[package]]\nname = \"libc\"\nversion = \"0.2.1\"\nsource = \"registry\"\n\
            checksum = \"68ab\"\n";
        assert_eq!(checksums(lock), [(("libc", "0.2.1"), "68ab")].into());
    }
}
