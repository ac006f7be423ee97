//! Runs commands as root.

use std::io::{IsTerminal, stdin};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use xtask::apache::which;

/// The way in which this user can become root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// The user is root.
    Root,
    /// With sudo, without a password.
    Sudo,
    /// With sudo, which may ask for a password at the terminal.
    SudoAsking,
    /// Not possible.
    None,
}

impl Privileges {
    /// Finds out what this user can do. It never asks for a password.
    pub(crate) fn of_this_user() -> Self {
        if rustix::process::geteuid().is_root() {
            return Self::Root;
        }
        if which("sudo").is_none() {
            return Self::None;
        }
        let mut attempt = Command::new("sudo");
        attempt
            .args(["-n", "true"])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        match attempt.status() {
            Ok(status) if status.success() => Self::Sudo,
            _ if stdin().is_terminal() => Self::SudoAsking,
            _ => Self::None,
        }
    }

    /// A command that runs `program` as root.
    ///
    /// # Errors
    /// This user cannot become root.
    pub(crate) fn command(self, program: &str) -> Result<Command> {
        let mut command = match self {
            Self::Root => Command::new(program),
            Self::Sudo | Self::SudoAsking => Command::new("sudo"),
            Self::None => bail!("`{program}` must be run as root, and sudo does not let us"),
        };
        match self {
            Self::Sudo => drop(command.args(["-n", program])),
            Self::SudoAsking => drop(command.arg(program)),
            Self::Root | Self::None => {}
        }
        Ok(command)
    }
}
