//! What the manifests promise: each dependency is used, and the oldest Rust works.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use xtask::command::output_of;

/// The workspaces of this repository.
const WORKSPACES: [&str; 3] = ["", "module/benches/load", "module/fuzz"];

/// Dependencies of code that is outside of the package's folder (`#[path]`).
const OF_CODE_ELSEWHERE: [(&str, &str); 1] = [("models", "smallvec")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn metadata(folder: &Path) -> Result<Metadata> {
    let manifest = folder.join("Cargo.toml");
    Ok(MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()?)
}

#[test]
fn every_dependency_is_used() -> Result<()> {
    let mut unused_ones = Vec::new();
    for workspace in WORKSPACES {
        for package in metadata(&root().join(workspace))?.workspace_packages() {
            unused_ones.extend(unused(package)?);
        }
    }
    ensure!(unused_ones.is_empty(), "{unused_ones:?}");
    Ok(())
}

#[test]
fn an_unused_dependency_is_found() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let manifest = "[package]\nname = \"it\"\nedition = \"2024\"\n[dependencies]\nused-a = \"1\"\n\
         b = { package = \"other\", version = \"1\" }\nunused-c = \"1\"\nd = \"1\"\n[workspace]\n";
    fs::write(folder.path().join("Cargo.toml"), manifest)?;
    fs::create_dir(folder.path().join("src"))?;
    let code = "use used_a::A;\n// unused_c::C\nfn f() { b::g(); not_d::h(); crate::d::i() }\n";
    fs::write(folder.path().join("src/lib.rs"), code)?;
    let metadata = metadata(folder.path())?;
    let package = metadata.packages.first().context("a package")?;
    ensure!(
        unused(package)? == ["it: d", "it: unused-c"],
        "{:?}",
        unused(package)?
    );
    Ok(())
}

/// The dependencies whose name is nowhere in the package's code.
fn unused(package: &Package) -> Result<Vec<String>> {
    let folder = package.manifest_path.parent().context("a folder")?;
    let mut code = String::new();
    read_code(folder.as_std_path(), &mut code)?;
    let is_unused = |name: &&str| !names(&code, &name.replace('-', "_"));
    let dependencies = package.dependencies.iter();
    Ok(dependencies
        .map(|it| it.rename.as_deref().unwrap_or(&it.name))
        .filter(|name| !OF_CODE_ELSEWHERE.contains(&(package.name.as_str(), name)))
        .filter(is_unused)
        .map(|name| format!("{}: {name}", package.name))
        .collect())
}

/// Adds the code of all files that belong to the package in `folder`, without comments. Examples in
/// the documentation count.
fn read_code(folder: &Path, code: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_other = path.join("Cargo.toml").is_file() || path.ends_with("target");
        if path.is_dir() && !is_other {
            read_code(&path, code)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let is_comment = |line: &str| {
                let line = line.trim_start();
                line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!")
            };
            for line in text.lines().filter(|line| !is_comment(line)) {
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    Ok(())
}

/// Whether `code` has the crate `name` at the beginning of a path, or alone in a `use`.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].trim_end_matches(' ');
        let after = &code[start + name.len()..];
        let is_whole = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let is_first =
            !before.ends_with("::") || before.ends_with(" ::") || before.ends_with("(::");
        let is_alone = before.ends_with("use") || before.ends_with("crate");
        is_whole && is_first && (after.starts_with("::") || is_alone)
    })
}

/// `rust-version` is only a promise if something is built with that version: CI is.
#[test]
fn ci_builds_with_the_oldest_rust_that_is_promised() -> Result<()> {
    let said = output_of(Command::new("rustc").arg("--version"))?;
    let version = said.split_whitespace().nth(1).context("no version")?;
    let metadata = metadata(&root())?;
    let promised = metadata
        .packages
        .iter()
        .filter_map(|it| it.rust_version.as_ref());
    let mut promised: Vec<_> = promised.map(|it| (it.major, it.minor)).collect();
    promised.dedup();
    ensure!(
        promised.len() == 1,
        "packages promise different versions: {promised:?}"
    );
    let (major, minor) = promised[0];
    let mut numbers = version.split('.').map(str::parse::<u64>);
    let mut next = || numbers.next().context("no number")?.context("no number");
    let installed = (next()?, next()?);
    ensure!(
        installed == (major, minor) || env::var_os("CI").is_none(),
        "CI has Rust {version}, but `rust-version` promises {major}.{minor}: have CI use that, or \
         raise `rust-version` in Cargo.toml (and in README.md, \"What you need\")"
    );
    let readme = fs::read_to_string(root().join("README.md"))?;
    ensure!(
        readme.contains(&format!("Rust {major}.{minor}")),
        "README.md names another version"
    );
    Ok(())
}
