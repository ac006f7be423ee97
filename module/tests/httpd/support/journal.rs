//! A file to which the plugin `journal` and others write their callbacks.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::handshake::Handshake;
use super::server::Context;
use super::wait_until;

/// One connection's journal.
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    /// An empty journal in the folder of the plugins. Dropping it removes the file.
    pub(crate) fn new(context: &Context) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = context.plugins().dir().join(format!("journal-{number}"));
        fs::write(&path, "")?;
        // httpd's children may run under another account.
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        Ok(Self { path })
    }

    /// A handshake that gives the plugin this journal.
    pub(crate) fn handshake(&self, target: &str) -> Handshake {
        Handshake::to(target).header("X-Journal", &self.path.display().to_string())
    }

    /// The file, for plugins that get its name in another way.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lines(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.path)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    pub(crate) fn count(&self, line: &str) -> Result<usize> {
        Ok(self.lines()?.iter().filter(|other| *other == line).count())
    }

    /// Waits for a line that begins with `start`, and returns the rest of the first one.
    pub(crate) fn wait_for(&self, start: &str) -> Result<String> {
        let mut rest = None;
        wait_until(&format!("`{start}` in the journal"), || {
            rest = self
                .lines()?
                .iter()
                .find_map(|line| line.strip_prefix(start).map(str::to_owned));
            Ok(rest.is_some())
        })?;
        Ok(rest.unwrap_or_default())
    }

    /// Waits for `on_disconnect`, which must be called within this time, and only once.
    pub(crate) fn expect_one_disconnect(&self, within: Duration) -> Result<()> {
        let started = Instant::now();
        self.wait_for("disconnect")?;
        ensure!(
            started.elapsed() < within,
            "on_disconnect took {:?}",
            started.elapsed()
        );
        let lines = self.lines()?;
        ensure!(
            self.count("connect")? == 1 && self.count("disconnect")? == 1,
            "{lines:?}"
        );
        ensure!(
            lines.last().is_some_and(|line| line == "disconnect"),
            "{lines:?}"
        );
        Ok(())
    }
}
