//! The sources as a whole: spelling, the licences of what is linked, and what is published.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand, PackageId};
use spdx::{Expression, ParseMode};
use xtask::command::output_of;
use xtask::python::Environment;
use xtask::workspace::target_dir_of;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The checker of spelling.
const TYPOS: &str = "typos==1.52.0";

#[test]
fn words_are_spelt_correctly() -> Result<()> {
    let target = target_dir_of(root())?;
    let Some(environment) = Environment::install_if_possible(&target, TYPOS, "typos")? else {
        return Ok(());
    };
    let python = environment.python();
    let typos = Path::new(python.get_program()).with_file_name("typos");
    let output = Command::new(typos)
        .args([
            "--config",
            ".config/typos.toml",
            "--format",
            "brief",
            "--force-exclude",
        ])
        .current_dir(root())
        .output()?;
    let found = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{found}{complaint}");
    Ok(())
}

/// Licences that ask for no more than a notice.
const LICENCES: [&str; 8] = [
    "Apache-2.0",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Packages with another licence. `abi_stable` needs this one, which is used unchanged; that is all
/// that its licence asks for beyond a notice.
const EXCEPTIONS: [(&str, &str); 1] = [("generational-arena", "MPL-2.0")];

/// What administrators and authors of plugins load.
const LINKED: [&str; 2] = ["mod_websocket", "websocket-plugin"];

#[test]
fn what_is_linked_asks_for_no_more_than_a_notice() -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .features(cargo_metadata::CargoOpt::AllFeatures)
        .other_options(["--locked".to_owned()])
        .exec()?;
    let resolve = metadata.resolve.as_ref().context("no dependencies")?;
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let packages: HashMap<_, _> = metadata.packages.iter().map(|it| (&it.id, it)).collect();
    let mut waiting: Vec<&PackageId> = metadata
        .packages
        .iter()
        .filter(|package| LINKED.contains(&package.name.as_str()))
        .map(|package| &package.id)
        .collect();
    ensure!(waiting.len() == LINKED.len(), "{waiting:?}");
    let mut linked = Vec::new();
    while let Some(id) = waiting.pop() {
        if linked.contains(&id) {
            continue;
        }
        linked.push(id);
        let links = |kind: &cargo_metadata::DepKindInfo| kind.kind == DependencyKind::Normal;
        let needs = nodes[id].deps.iter();
        let needs = needs.filter(|need| need.dep_kinds.iter().any(links));
        waiting.extend(needs.map(|need| &need.pkg));
    }
    ensure!(linked.len() > 50, "{linked:?}");
    for id in linked {
        let package = packages[id];
        let name = &package.name;
        let licence = package
            .license
            .as_deref()
            .with_context(|| format!("{name}: no licence"))?;
        let licence = Expression::parse_mode(licence, ParseMode::LAX)?;
        let is_exception = |id: spdx::LicenseId| EXCEPTIONS.contains(&(name.as_str(), id.name));
        let is_allowed = |wanted: &spdx::LicenseReq| {
            wanted
                .license
                .id()
                .is_some_and(|id| LICENCES.contains(&id.name) || is_exception(id))
        };
        ensure!(licence.evaluate(is_allowed), "{name}: {licence}");
    }
    Ok(())
}

#[test]
fn the_crates_for_authors_of_plugins_can_be_published() -> Result<()> {
    let packages = ["-p", "websocket-plugin-macros", "-p", "websocket-plugin"];
    output_of(
        Command::new(env!("CARGO"))
            .arg("package")
            .args(packages)
            .args(["--all-features", "--allow-dirty", "--locked"])
            .current_dir(root()),
    )?;
    Ok(())
}
