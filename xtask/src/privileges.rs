//! Doing what only root may do.

use std::io::{IsTerminal, stdin};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use xtask::apache::which;

/// How this user becomes root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// It is root.
    Root,
    /// Through sudo, without a question.
    Sudo,
    /// Through sudo, which may ask for a password at the terminal.
    SudoAsking,
    /// Not at all.
    None,
}

impl Privileges {
    /// What this user can do. Never asks for anything.
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
