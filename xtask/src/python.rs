//! Packages of PyPI in virtual environments of Python, installed where Cargo builds.

use std::env;
use std::fs::{self, File};
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::output_of;

/// An environment with one package and what that depends on.
#[derive(Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Installs `package` (`NAME==VERSION`) into a folder of `target_dir`, unless it is there.
    ///
    /// # Errors
    /// There is no Python with its modules venv and ensurepip, or pip cannot download the package.
    pub fn install(target_dir: &Path, package: &str) -> Result<Self> {
        let folder = target_dir.join("python");
        fs::create_dir_all(&folder)?;
        let environment = Self {
            folder: folder.join(package.replace("==", "-")),
        };
        // Several processes may want it at the same time.
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

    /// As [`Environment::install`]; where it cannot be had, on a developer's machine without network,
    /// says that there is no `what`, and returns `None`. In CI, where the environment has `CI`, that is
    /// an error.
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
        Command::new(self.folder.join("bin/python"))
    }
}
