//! A running httpd, which stops when its handle is dropped.

mod process;
mod status;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use self::process::ProcessGroup;
pub use self::status::Status;
use crate::server_root::ServerRoot;

/// How long httpd may take to start or to reload. Loaded machines are slow; it usually takes 0.1 s.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long httpd may take to stop. It kills children that hang after 10 s.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
/// What every MPM logs once it accepts connections and handles signals, at any `LogLevel`.
const SERVING: &str = "resuming normal operations";

/// An httpd that this process has started, with everything it starts in turn.
///
/// Dropping it stops the server and waits for it; when a test panics, the error log is printed
/// first. The server has its own process group, so Ctrl-C or a resized terminal (which httpd takes
/// for a graceful stop) do not reach it by themselves.
#[derive(Debug)]
pub struct Httpd {
    processes: ProcessGroup,
    root: ServerRoot,
}

impl Httpd {
    /// Starts httpd in a server root that has been written; returns once it serves.
    ///
    /// # Errors
    /// httpd cannot be run, exits at once, or is not ready within 30 seconds. The error has what
    /// httpd wrote.
    pub fn start(root: ServerRoot) -> Result<Self> {
        let mut command = root.command()?;
        command
            .arg("-DFOREGROUND")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(startup_log(&root))?)
            .process_group(0);
        let httpd = Self {
            processes: ProcessGroup::spawn(command)?,
            root,
        };
        httpd.wait_until_serving(1).context("httpd did not start")?;
        Ok(httpd)
    }

    /// The server root it runs in.
    #[must_use]
    pub fn root(&self) -> &ServerRoot {
        &self.root
    }

    /// Where it serves plain HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.root.plain_port()))
    }

    /// Where it serves TLS, if it does.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.root
            .port_for_tls()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The process id of the parent.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.processes.leader()
    }

    /// The process ids of the children that serve requests, those of earlier generations that are
    /// still finishing included.
    ///
    /// # Errors
    /// The system's list of processes cannot be read.
    pub fn child_pids(&self) -> Result<Vec<u32>> {
        self.processes.children()
    }

    /// The text of the error log so far, what httpd wrote to its standard error first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn error_log(&self) -> Result<String> {
        Ok(read(&startup_log(&self.root))? + &read(&self.root.error_log())?)
    }

    /// The text of the access log so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn access_log(&self) -> Result<String> {
        read(&self.root.access_log())
    }

    /// What the MPM counts. Takes as long as `KeepAliveTimeout`.
    ///
    /// # Errors
    /// httpd does not answer within 20 seconds, or not with its status.
    pub fn status(&self) -> Result<Status> {
        Status::ask(self)
    }

    /// Waits until the error log has a line that contains `text`, and returns the first such line.
    ///
    /// # Errors
    /// No such line comes within `limit`; the error has the end of the log.
    pub fn wait_for_log(&self, text: &str, limit: Duration) -> Result<String> {
        let line = poll(limit, || {
            let log = self.error_log()?;
            Ok(log
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned))
        })?;
        line.with_context(|| {
            format!(
                "no `{text}` within {limit:?} in the log:\n{}",
                self.log_tail()
            )
        })
    }

    /// Replaces the extra configuration ([`ServerRoot::config`]); the next reload reads it.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn replace_config(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.root.replace_config(text.as_ref());
        self.root.write_config()
    }

    /// Reloads the configuration and lets children finish what they serve (SIGUSR1); returns once
    /// the new children serve.
    ///
    /// # Errors
    /// httpd ends, as it does when the new configuration is bad, or is not ready in time.
    pub fn graceful(&self) -> Result<()> {
        self.reload(Signal::USR1)
    }

    /// Reloads the configuration and ends the children at once (SIGHUP); returns once the new ones
    /// serve.
    ///
    /// # Errors
    /// As [`Httpd::graceful`].
    pub fn restart(&self) -> Result<()> {
        self.reload(Signal::HUP)
    }

    /// Asks httpd to end when it has finished what it serves (SIGWINCH), and returns at once;
    /// [`Httpd::wait`] tells when it has ended.
    ///
    /// # Errors
    /// httpd has ended already.
    pub fn graceful_stop(&self) -> Result<()> {
        self.processes.signal_leader(Signal::WINCH)
    }

    /// Stops httpd (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// It has ended already, or does not within 15 seconds; it is then killed.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.processes.signal_leader(Signal::TERM)?;
        self.wait(STOPPED_WITHIN)
    }

    /// Whether httpd's parent process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.processes.leader_has_ended()
    }

    /// Waits for httpd to end by itself or after [`Httpd::graceful_stop`].
    ///
    /// # Errors
    /// It does not end within `limit`; it then still runs.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let ended = poll(limit, || {
            Ok(self.processes.leader_has_ended().then_some(()))
        })?;
        ended.with_context(|| format!("httpd still runs after {limit:?}"))?;
        self.processes.reap()
    }

    fn reload(&self, signal: Signal) -> Result<()> {
        let earlier = self.times_serving()?;
        self.processes.signal_leader(signal)?;
        self.wait_until_serving(earlier + 1)
            .context("httpd did not reload")
    }

    /// Waits for the `count`th time that httpd reports itself ready.
    fn wait_until_serving(&self, count: usize) -> Result<()> {
        let ready = poll(READY_WITHIN, || {
            if self.processes.leader_has_ended() {
                bail!("it has ended:\n{}", self.log_tail());
            }
            let serving = self.times_serving()? >= count && self.root.ports().all(answers);
            Ok(serving.then_some(()))
        })?;
        ready.with_context(|| format!("not ready after {READY_WITHIN:?}:\n{}", self.log_tail()))
    }

    fn times_serving(&self) -> Result<usize> {
        Ok(self.error_log()?.matches(SERVING).count())
    }

    fn log_tail(&self) -> String {
        const LINES: usize = 30;
        let log = self.error_log().unwrap_or_else(|error| error.to_string());
        let first = log.lines().count().saturating_sub(LINES);
        log.lines().skip(first).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("httpd's error log:\n{}", self.log_tail());
        }
        if self.processes.signal_leader(Signal::TERM).is_ok() {
            // What has not ended by then, `ProcessGroup` kills.
            let _ = self.wait(STOPPED_WITHIN);
        }
    }
}

/// Before httpd opens its error log, it complains here.
fn startup_log(root: &ServerRoot) -> PathBuf {
    root.dir().join("logs/startup_log")
}

fn read(log: &Path) -> Result<String> {
    let bytes = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Tries until there is a result or `limit` has passed, at growing intervals.
pub(crate) fn poll<T>(
    limit: Duration,
    attempt: impl Fn() -> Result<Option<T>>,
) -> Result<Option<T>> {
    const LONGEST_PAUSE: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(result) = attempt()? {
            return Ok(Some(result));
        }
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            return Ok(None);
        };
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
