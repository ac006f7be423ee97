//! The sources as a whole: spelling, and what is published.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
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
    let output = environment
        .program("typos")
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
