//! kosoku, in a Python virtual environment.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Report, Selection};
use crate::python::Environment;

/// The package on PyPI, with its version.
const PACKAGE: &str = "kosoku==0.1.0";

/// The number of cases that run at the same time. Most of them wait more than they compute.
const PARALLELISM: &str = "4";

/// The client that runs the cases.
#[derive(Debug)]
pub struct Client {
    environment: Environment,
}

impl Client {
    /// Installs it into a folder of `target_dir`, unless it is already there.
    ///
    /// # Errors
    /// As [`Environment::install`].
    pub fn install(target_dir: &Path) -> Result<Self> {
        let environment = Environment::install(target_dir, PACKAGE)?;
        Ok(Self { environment })
    }

    /// Like [`Client::install`], but if the installation fails, for example without network, it
    /// prints that and returns `None`. In CI (environment variable `CI`) that is an error.
    ///
    /// # Errors
    /// As [`Client::install`], in CI.
    pub fn install_if_possible(target_dir: &Path) -> Result<Option<Self>> {
        let what = "Autobahn test suite";
        let environment = Environment::install_if_possible(target_dir, PACKAGE, what)?;
        Ok(environment.map(|environment| Self { environment }))
    }

    /// The environment's Python.
    pub(super) fn python(&self) -> Command {
        self.environment.python()
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
        // kosoku also fails if a case does. In that case there is a report.
        let output = command.arg(address).output().context("cannot run kosoku")?;
        ensure!(
            folder.join("index.json").is_file(),
            "kosoku wrote no report ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Report::read(folder)
    }
}
