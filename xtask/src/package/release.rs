//! What packages say about themselves.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::command::output_of;
use xtask::workspace::Workspace;

/// The environment variable with the time of a reproducible build, in seconds since 1970.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Who answers for a package, unless its builder says so.
const MAINTAINER: &str = "The mod_websocket developers <maintainers@mod-websocket.example>";

/// The version, time and maintainer of packages.
#[derive(Debug)]
pub(crate) struct Release {
    /// The version of the sources.
    pub(crate) version: String,
    /// Which package of that version this is, counted from 1.
    pub(crate) revision: u32,
    /// The time of the sources, in seconds since 1970.
    pub(crate) epoch: u64,
    /// Who answers for the package, as `NAME <ADDRESS>`.
    pub(crate) maintainer: String,
}

impl Release {
    /// The release of these sources. Its time is that of the last commit, or `SOURCE_DATE_EPOCH` in
    /// the environment.
    ///
    /// # Errors
    /// Neither exists.
    pub(crate) fn new(
        workspace: &Workspace,
        revision: u32,
        maintainer: Option<String>,
    ) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision,
            epoch: epoch(workspace)?,
            maintainer: maintainer.unwrap_or_else(|| MAINTAINER.to_owned()),
        })
    }

    /// Version and revision in the form of Debian.
    pub(crate) fn with_revision(&self) -> String {
        format!("{}-{}", self.version, self.revision)
    }

    /// The time in a form of the program `date`.
    pub(crate) fn date(&self, form: &str) -> Result<String> {
        let mut date = Command::new("date");
        date.env("LC_ALL", "C");
        output_of(date.args(["-u", "-d", &format!("@{}", self.epoch), form]))
    }
}

fn epoch(workspace: &Workspace) -> Result<u64> {
    let text = match env::var(SOURCE_DATE_EPOCH) {
        Ok(text) => text,
        Err(_) => output_of(
            Command::new("git")
                .args(["log", "-1", "--format=%ct"])
                .current_dir(workspace.root()),
        )
        .with_context(|| {
            format!("these sources have no history; set {SOURCE_DATE_EPOCH} to their time")
        })?,
    };
    text.trim()
        .parse()
        .with_context(|| format!("{SOURCE_DATE_EPOCH} is not a number: {text}"))
}
