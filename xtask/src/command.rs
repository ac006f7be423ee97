//! Running other programs, with errors that show the command line and what it said.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs `command` and returns what it wrote to its standard output, without the trailing newline.
///
/// # Errors
/// The program cannot be started, or fails; the error then carries both of its outputs.
pub fn output_of(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("cannot run `{}`", line(command)))?;
    let stdout = String::from_utf8_lossy(&stdout);
    if !status.success() {
        let stderr = String::from_utf8_lossy(&stderr);
        bail!("`{}` failed ({status})\n{stdout}{stderr}", line(command));
    }
    Ok(stdout.trim_end().to_owned())
}

/// Runs `command` with our own standard streams.
///
/// # Errors
/// The program cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// The command as one would type it, for messages.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
