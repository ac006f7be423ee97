//! Asks httpd about its configuration, itself or through Debian's `apachectl`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};

/// `httpd` itself or Debian's `apachectl`, with what stands before it (`sudo`) and behind it (`-f`).
#[derive(Clone, Debug)]
pub struct Control {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

/// What httpd says of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// httpd would start with it. The text has warnings and "Syntax OK".
    Good(String),
    /// httpd would not start. The text says why.
    Bad(String),
}

impl Control {
    /// The program with the arguments that come first.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            words: words.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
        }
    }

    /// Sets an environment variable of the program.
    #[must_use]
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The command, as one would type it, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|it| it.to_string_lossy()).collect();
        words.join(" ")
    }

    /// Checks the configuration (`-t`).
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn check(&self) -> Result<Verdict> {
        let output = self.run(&["-t"])?;
        let text = text(&output);
        Ok(if output.status.success() {
            Verdict::Good(text)
        } else {
            Verdict::Bad(text)
        })
    }

    /// What httpd prints with `-t -D DUMP_NAME`.
    ///
    /// # Errors
    /// The program cannot be run, or httpd rejects the configuration.
    pub fn dump(&self, name: &str) -> Result<String> {
        self.output(&["-t", "-D", &format!("DUMP_{name}")])
    }

    /// What the program prints with these arguments.
    ///
    /// # Errors
    /// The program cannot be run, or fails.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            bail!(
                "`{} {}`: {}",
                self.name(),
                arguments.join(" "),
                text(&output)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The files that httpd reads for its configuration.
    ///
    /// # Errors
    /// As [`Control::dump`]. httpd names no files if it rejects what is in them.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let listing = self.dump("INCLUDES")?;
        let files: Vec<_> = listing.lines().filter_map(included).collect();
        ensure!(!files.is_empty(), "httpd names no file: {listing}");
        Ok(files)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let (program, first) = self.words.split_first().context("no program")?;
        Command::new(program)
            .args(first)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("LC_ALL", "C")
            .output()
            .with_context(|| format!("cannot run `{}`", self.name()))
    }
}

/// The file in a line such as `    (146) /etc/apache2/mods-enabled/alias.load`.
fn included(line: &str) -> Option<PathBuf> {
    let (line_number, file) = line.trim_start().strip_prefix('(')?.split_once(") ")?;
    let is_number = line_number == "*" || line_number.parse::<u64>().is_ok();
    is_number.then(|| file.into())
}

fn text(output: &Output) -> String {
    let text = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_in_the_list_of_httpd_are_found() {
        let listing = "Included configuration files:\n  (*) /etc/apache2/apache2.conf\n    \
                       (146) /etc/apache2/my site (1).conf\n";
        let files: Vec<_> = listing.lines().filter_map(included).collect();
        let expected = ["/etc/apache2/apache2.conf", "/etc/apache2/my site (1).conf"];
        assert_eq!(files, expected.map(PathBuf::from));
    }
}
