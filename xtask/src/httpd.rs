//! A running httpd. Dropping the handle stops it.

mod process;
mod status;

use std::cell::Cell;
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
use crate::server_root::{ConfigCheck, ServerRoot};

/// The longest time for a start or a reload. It usually takes 0.1 s, but loaded machines are slow.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(30);
/// The longest time for a stop. httpd kills children that hang after 10 s.
pub(crate) const STOPPED_WITHIN: Duration = Duration::from_secs(15);
/// The longest time to wait for children under no traffic to come to rest.
const SETTLED_WITHIN: Duration = Duration::from_millis(300);
/// The line that every MPM logs once it accepts connections and handles signals, at any `LogLevel`.
pub(crate) const SERVING: &str = "resuming normal operations";

/// An httpd that this process has started, with all its child processes.
///
/// Dropping it stops the server and waits for its end. If a test panics, it first prints the error
/// log; a test that fails otherwise gets the log from [`take_last_log`]. The server has its own
/// process group, so that Ctrl-C, or a resized terminal (SIGWINCH, a graceful stop for httpd), do
/// not reach it directly.
#[derive(Debug)]
pub struct Httpd {
    processes: ProcessGroup,
    root: ServerRoot,
}

impl ServerRoot {
    /// Writes everything and starts httpd. Returns once it serves requests.
    ///
    /// # Errors
    /// As [`ServerRoot::write`], or httpd does not start. The error contains httpd's output.
    pub fn start(mut self) -> Result<Httpd> {
        self.write()?;
        Httpd::start(self)
    }
}

impl Httpd {
    /// Starts httpd in a server root that was written before. Returns once it serves requests.
    ///
    /// # Errors
    /// httpd cannot be run, exits at once, or is not ready within 30 seconds. The error contains
    /// httpd's output.
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

    /// The server root.
    #[must_use]
    pub fn root(&self) -> &ServerRoot {
        &self.root
    }

    /// The address of plain HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.root.plain_port()))
    }

    /// The address of TLS, if it is enabled.
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

    /// The process ids of the children that serve requests, including children of earlier
    /// generations that have not finished yet.
    ///
    /// # Errors
    /// The list of processes cannot be read.
    pub fn child_pids(&self) -> Result<Vec<u32>> {
        self.processes.children()
    }

    /// The contents of the error log, after httpd's output to standard error.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn error_log(&self) -> Result<String> {
        Ok(read(&startup_log(&self.root))? + &read(&self.root.error_log())?)
    }

    /// The contents of the access log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn access_log(&self) -> Result<String> {
        read(&self.root.access_log())
    }

    /// The counters of the MPM. The call takes as long as `KeepAliveTimeout`.
    ///
    /// # Errors
    /// httpd does not answer with its status within 20 seconds.
    pub fn status(&self) -> Result<Status> {
        Status::ask(self)
    }

    /// Waits until the error log has a line that contains `text`, and returns the first such line.
    ///
    /// # Errors
    /// No such line appears within `limit`. The error contains the end of the log.
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

    /// Replaces the extra configuration ([`ServerRoot::config`]). httpd reads it at the next
    /// reload.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn replace_config(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.root.replace_config(text.as_ref());
        self.root.write_config()
    }

    /// Reloads the configuration, and lets children finish their requests (SIGUSR1). Returns once
    /// the new children serve requests.
    ///
    /// # Errors
    /// httpd ends, for example because the new configuration is wrong, or is not ready in time.
    pub fn graceful(&self) -> Result<()> {
        self.reload(Signal::USR1)
    }

    /// Reloads the configuration, and ends the children at once (SIGHUP). Returns once the new
    /// children serve requests.
    ///
    /// # Errors
    /// As [`Httpd::graceful`].
    pub fn restart(&self) -> Result<()> {
        self.settle();
        self.reload(Signal::HUP)
    }

    /// Asks for a graceful restart as `apachectl graceful` does (`httpd -k graceful`): it checks
    /// the configuration first, and does nothing if that is wrong. Returns at once.
    ///
    /// # Errors
    /// httpd cannot be run.
    pub fn ask_for_graceful(&self) -> Result<ConfigCheck> {
        self.root.check_with(&["-k", "graceful"])
    }

    /// Runs `httpd -t` with the configuration as it is now.
    ///
    /// # Errors
    /// httpd cannot be run. A wrong configuration is not an error here.
    pub fn check_config(&self) -> Result<ConfigCheck> {
        self.root.check_with(&["-t"])
    }

    /// Sends the signal of a graceful restart (SIGUSR1). Returns at once.
    ///
    /// # Errors
    /// httpd has already ended.
    pub fn signal_graceful(&self) -> Result<()> {
        self.processes.signal_leader(Signal::USR1)
    }

    /// Asks httpd to end after finishing its requests (SIGWINCH). Returns at once; [`Httpd::wait`]
    /// waits for the end.
    ///
    /// # Errors
    /// httpd has already ended.
    pub fn graceful_stop(&self) -> Result<()> {
        self.processes.signal_leader(Signal::WINCH)
    }

    /// Stops httpd (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// httpd has already ended, or does not end within 15 seconds and is killed.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.settle();
        self.processes.signal_leader(Signal::TERM)?;
        self.wait(STOPPED_WITHIN)
    }

    /// Whether httpd's parent process is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.processes.leader_has_ended()
    }

    /// Waits for httpd to end by itself or after [`Httpd::graceful_stop`].
    ///
    /// # Errors
    /// httpd does not end within `limit`. It keeps running.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let ended = poll(limit, || {
            Ok(self.processes.leader_has_ended().then_some(()))
        })?;
        ended.with_context(|| format!("httpd still runs after {limit:?}"))?;
        self.processes.reap()
    }

    /// Waits until no thread of the children computes. A hard stop closes the socket of a
    /// connection if the thread that has handed it over is not back at its queue (event.c,
    /// `close_worker_sockets`), so that its client is not told of the end.
    fn settle(&self) {
        let at_rest = || Ok(self.processes.are_children_at_rest()?.then_some(()));
        // Under traffic they never are.
        let _ = poll(SETTLED_WITHIN, at_rest);
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

thread_local! {
    static LAST_LOG: Cell<Option<String>> = const { Cell::new(None) };
}

/// The end of the error log of the [`Httpd`] that this thread has dropped last, as it was before
/// the server stopped. The next call returns `None` until another one is dropped.
#[must_use]
pub fn take_last_log() -> Option<String> {
    LAST_LOG.take()
}

impl Drop for Httpd {
    fn drop(&mut self) {
        let log = self.log_tail();
        if thread::panicking() {
            eprintln!("httpd's error log:\n{log}");
        }
        LAST_LOG.set(Some(log));
        if self.processes.signal_leader(Signal::TERM).is_ok() {
            // `ProcessGroup` kills everything that has not ended by then.
            let _ = self.wait(STOPPED_WITHIN);
        }
    }
}

/// httpd writes errors to this file before it opens its error log.
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

/// Calls `attempt` at growing intervals, until it has a result or `limit` has passed.
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
