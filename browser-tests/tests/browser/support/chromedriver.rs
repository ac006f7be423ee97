//! The WebDriver server, which starts the browsers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::PATIENCE;

/// A running chromedriver, and the folder to which it and its browsers write.
pub(super) struct ChromeDriver {
    process: Child,
    output: BufReader<ChildStdout>,
    dir: TempDir,
}

impl ChromeDriver {
    pub(super) fn start(program: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("browsers-").tempdir()?;
        let mut process = Command::new(program)
            .arg("--port=0")
            // TMPDIR is for profiles, HOME for caches and certificates.
            .env("TMPDIR", dir.path())
            .env("HOME", dir.path())
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = process.stdout.take().expect("it is piped");
        Ok(Self {
            process,
            output: BufReader::new(output),
            dir,
        })
    }

    /// Waits until chromedriver listens, and returns its address. Call it once.
    pub(super) fn url(&mut self) -> Result<String> {
        const READY: &str = "started successfully on port ";
        let mut said = String::new();
        loop {
            let mut line = String::new();
            ensure!(
                self.output.read_line(&mut line)? > 0,
                "chromedriver did not start:\n{said}"
            );
            if let Some((_, port)) = line.trim_end().rsplit_once(READY) {
                return Ok(format!("http://localhost:{}", port.trim_end_matches('.')));
            }
            said.push_str(&line);
        }
    }

    /// Ends chromedriver, waits until its browsers have ended, and removes their files.
    ///
    /// # Errors
    /// A browser still runs, or a file cannot be removed.
    pub(super) fn end(mut self) -> Result<()> {
        self.stop()?;
        let dir = self.dir.path().to_owned();
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    }

    /// Stops chromedriver. The browsers then end by themselves, because their pipe to it closes.
    fn stop(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = processes_with(self.dir.path());
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "browsers still run: {left:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for ChromeDriver {
    fn drop(&mut self) {
        // `end` reports errors. Without `end`, an earlier error is already being reported.
        let _ = self.stop();
    }
}

/// The processes that have `dir` in their environment (Linux). All processes that chromedriver
/// starts inherit it.
fn processes_with(dir: &Path) -> Vec<u32> {
    let name = dir.as_os_str().as_bytes();
    let has_dir = |pid: &u32| {
        // A process may end meanwhile, and the processes of other users are not readable.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(name.len()).any(|part| part == name)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(has_dir)
        .collect()
}
