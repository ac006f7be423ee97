//! Installs packages from PyPI in Python virtual environments in the target folder.

use std::env;
use std::fs::{self, File};
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::output_of;

/// A virtual environment with one package and its dependencies.
#[derive(Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Installs `package` (`NAME==VERSION`) into a folder of `target_dir`, unless it is already
    /// there.
    ///
    /// # Errors
    /// There is no Python with the modules venv and ensurepip, or pip cannot download the package.
    pub fn install(target_dir: &Path, package: &str) -> Result<Self> {
        let folder = target_dir.join("python");
        fs::create_dir_all(&folder)?;
        let environment = Self {
            folder: folder.join(package.replace("==", "-")),
        };
        // Several processes may install it at the same time.
        let lock = File::create(environment.folder.with_added_extension("lock"))?;
        lock.lock()?;
        let installed = environment.folder.join("installed");
        if !installed.is_file() {
            output_of(
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&environment.folder),
            )?;
            output_of(environment.python().args([
                "-m",
                "pip",
                "--disable-pip-version-check",
                "--quiet",
                "install",
                package,
            ]))?;
            File::create(installed)?;
        }
        Ok(environment)
    }

    /// Like [`Environment::install`], but if the installation fails, for example without network,
    /// it prints that there is no `what` and returns `None`. In CI (environment variable `CI`) that
    /// is an error.
    ///
    /// # Errors
    /// As [`Environment::install`], in CI.
    pub fn install_if_possible(
        target_dir: &Path,
        package: &str,
        what: &str,
    ) -> Result<Option<Self>> {
        match Self::install(target_dir, package) {
            Err(error) if env::var_os("CI").is_none() => {
                writeln!(stderr(), "SKIPPED: no {what}: {error:#}")?;
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// The environment's Python.
    #[must_use]
    pub fn python(&self) -> Command {
        self.program("python")
    }

    /// A program that the package has, such as `typos`.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.folder.join("bin").join(name))
    }
}
