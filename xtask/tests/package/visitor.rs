//! Somebody who opens a page of the site in a browser.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use xtask::browser::{Browser, Policy};

use super::made::is_possible;

/// A page that says on its site what a WebSocket sends back: it asks for `/echoed/hello`.
pub(crate) const PAGE: &str = "\
<!doctype html>
<title>Echo</title>
<script>
const socket = new WebSocket(`ws://${location.host}/echo`);
socket.onopen = () => socket.send(\"hello\");
socket.onmessage = ({ data }) => fetch(`/echoed/${data}`);
</script>
";

/// The sandbox does not work for root.
const ARGUMENTS: [&str; 7] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-breakpad",
    "--no-first-run",
];

/// A browser with a page. Its end closes it.
pub(crate) struct Visitor {
    browser: Child,
    _profile: TempDir,
}

impl Visitor {
    /// Opens the page. `None` if there is no browser, unless the tests need one.
    pub(crate) fn open(url: &str) -> Result<Option<Self>> {
        let policy = Policy::of_environment()?;
        let browser = Browser::find().filter(|_| policy != Policy::Off);
        ensure!(
            browser.is_some() || policy != Policy::Required,
            "no browser"
        );
        let Some(Browser { chromium, .. }) = browser else {
            is_possible(false, "no browser opens a page of the site")?;
            return Ok(None);
        };
        let profile = TempDir::new()?;
        let browser = Command::new(chromium)
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // Keeps it open.
            .arg("--remote-debugging-port=0")
            .arg(url)
            .env("HOME", profile.path())
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the browser does not start")?;
        Ok(Some(Self {
            browser,
            _profile: profile,
        }))
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        // The only error is that there is no such group any more.
        let _ = kill_process_group(Pid::from_child(&self.browser), Signal::KILL);
        let _ = self.browser.wait();
    }
}
