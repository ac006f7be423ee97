//! kosoku, in a virtual environment of Python.

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Report, Selection};
use crate::command::output_of;

/// The package of PyPI and its version.
const PACKAGE: &str = "kosoku==0.1.0";

/// How many cases run at a time: most of them wait more than they compute.
const PARALLELISM: &str = "4";

/// The client that runs the cases.
#[derive(Debug)]
pub struct Client {
    environment: PathBuf,
}

impl Client {
    /// Installs it into a folder of `target_dir`, unless it is there.
    ///
    /// # Errors
    /// There is no Python 3.10 with its modules venv and ensurepip, or pip cannot download the
    /// package.
    pub fn install(target_dir: &Path) -> Result<Self> {
        let folder = target_dir.join("autobahn");
        fs::create_dir_all(&folder)?;
        // Several processes may want it at the same time.
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let environment = folder.join(PACKAGE.replace("==", "-"));
        let installed = environment.join("installed");
        let client = Self { environment };
        if !installed.is_file() {
            output_of(
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&client.environment),
            )?;
            output_of(client.python().args([
                "-m",
                "pip",
                "--disable-pip-version-check",
                "--quiet",
                "install",
                PACKAGE,
            ]))?;
            File::create(installed)?;
        }
        Ok(client)
    }

    /// As [`Client::install`]; where it cannot be had, on a developer's machine without network,
    /// says so and returns `None`. In CI, where the environment has `CI`, that is an error.
    ///
    /// # Errors
    /// As [`Client::install`], in CI.
    pub fn install_if_possible(target_dir: &Path) -> Result<Option<Self>> {
        match Self::install(target_dir) {
            Err(error) if env::var_os("CI").is_none() => {
                writeln!(stderr(), "SKIPPED: no Autobahn test suite: {error:#}")?;
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// The environment's Python.
    pub(super) fn python(&self) -> Command {
        Command::new(self.environment.join("bin/python"))
    }

    /// Runs the cases against the server at `address` (`HOST:PORT/PATH`).
    pub(super) fn run(
        &self,
        address: &str,
        folder: &Path,
        selection: &Selection,
    ) -> Result<Report> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = self.python();
        command
            .args(["-c", include_str!("client.py")])
            .args(["-m", "fuzzingclient", "-p", PARALLELISM, "-o"])
            .arg(folder);
        for (flag, patterns) in [("-i", &selection.include), ("-x", &selection.exclude)] {
            command.args(patterns.iter().flat_map(|pattern| [flag, pattern]));
        }
        // It fails when a case does; whether there is a report tells the difference.
        let output = command.arg(address).output().context("cannot run kosoku")?;
        ensure!(
            folder.join("index.json").is_file(),
            "kosoku has no report ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Report::read(folder)
    }
}
