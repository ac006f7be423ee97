//! On what the figures were measured.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::apache::Apache;
use xtask::command::output_of;
use xtask::workspace::Workspace;

use super::peer::PACKAGE;

/// One paragraph: processor, kernel, httpd, compiler, `peers`. No names of machines or users.
///
/// # Errors
/// One of them cannot be asked.
pub(crate) fn description(workspace: &Workspace, peers: &[&str]) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot ask for the processor")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let version = output_of(Command::new(&Apache::find()?.httpd).arg("-v"))?;
    let httpd = version
        .lines()
        .next()
        .and_then(|line| line.split(": ").nth(1));
    let lock = fs::read_to_string(workspace.root().join(PACKAGE).join("Cargo.lock"))?;
    let peers: Vec<String> = peers
        .iter()
        .map(|name| format!("{name} {}", locked_version(&lock, name).unwrap_or("?")))
        .collect();
    let rustc = output_of(Command::new("rustc").arg("--version"))?;
    let programs = match &*peers {
        [] => rustc,
        peers => format!("{rustc}; {}", peers.join(", ")),
    };
    Ok(format!(
        "{} ({} cores), Linux {}; {}; {}. The server has one core for itself, the load \
         generator another.\n",
        field(&cpus, "model name").unwrap_or("unknown processor"),
        std::thread::available_parallelism()?,
        kernel.trim(),
        httpd.unwrap_or("unknown httpd"),
        programs,
    ))
}

/// The value of a line `name : value`.
fn field<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = lines.lines().filter_map(|line| line.split_once(':'));
    pairs.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
}

/// The version of a package in the text of a `Cargo.lock`.
fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        assert_eq!(
            field("a\t: 1\nmodel name\t: X: Y\n", "model name"),
            Some("X: Y")
        );
        let lock = "[[package]]\nname = \"hyper\"\nversion = \"1.2.3\"\nsource = \"x\"\n";
        assert_eq!(locked_version(lock, "hyper"), Some("1.2.3"));
        assert_eq!(locked_version(lock, "hype"), None);
    }
}
