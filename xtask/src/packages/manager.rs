//! The program that installs packages.

use std::process::Command;

use anyhow::Result;
use xtask::apache::which;

use super::needs::Need;
use crate::privileges::Privileges;

#[derive(Clone, Copy)]
pub(super) enum Manager {
    Apt,
    Dnf,
    Homebrew,
}

impl Manager {
    pub(super) fn find() -> Option<Self> {
        [
            ("apt-get", Self::Apt),
            ("dnf", Self::Dnf),
            ("brew", Self::Homebrew),
        ]
        .into_iter()
        .find_map(|(program, manager)| which(program).map(|_| manager))
    }

    /// Whether it must run as root. Homebrew refuses root.
    pub(super) fn wants_root(self) -> bool {
        !matches!(self, Self::Homebrew)
    }

    /// The command lines that install the packages for `needs`.
    pub(super) fn commands(self, needs: &[&Need]) -> Vec<Vec<&'static str>> {
        let packages = |of: fn(&Need) -> &'static [&'static str]| {
            let mut packages: Vec<_> = needs.iter().flat_map(|need| of(need)).copied().collect();
            packages.sort_unstable();
            packages.dedup();
            packages
        };
        let install = |words: &[&'static str], packages: Vec<&'static str>| {
            words.iter().copied().chain(packages).collect::<Vec<_>>()
        };
        match self {
            Self::Apt => vec![
                vec!["apt-get", "update"],
                install(
                    &["apt-get", "install", "--yes", "--no-install-recommends"],
                    packages(|need| need.debian),
                ),
            ],
            Self::Dnf => vec![install(
                &["dnf", "install", "-y"],
                packages(|need| need.fedora),
            )],
            Self::Homebrew => vec![install(
                &["brew", "install"],
                packages(|need| need.homebrew),
            )],
        }
    }

    pub(super) fn command(self, privileges: Privileges, words: &[&str]) -> Result<Command> {
        if !self.wants_root() {
            let mut command = Command::new("brew");
            command.args(words.iter().skip(1));
            return Ok(command);
        }
        // With env, because sudo drops environment variables.
        let mut command = privileges.command("env")?;
        command.arg("DEBIAN_FRONTEND=noninteractive").args(words);
        Ok(command)
    }
}
