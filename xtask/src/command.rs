//! Runs other programs. Errors show the command line and the program's output.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs `command` and returns its standard output without the trailing newline.
///
/// # Errors
/// The program cannot be started, or fails. The error contains its standard output and standard
/// error.
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

/// Runs `command` with the standard streams of this process.
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

/// The command as one would type it.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
