//! A Redis of one's own, on a loopback port.

use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::apache::which;
use crate::port::free_port;

/// The name of the program.
pub const PROGRAM: &str = "redis-server";

const PATIENCE: Duration = Duration::from_secs(20);

/// A running Redis, which ends when this is dropped.
pub struct Redis {
    child: Child,
    program: PathBuf,
    options: Vec<String>,
    folder: TempDir,
    port: u16,
}

impl Redis {
    /// Starts one with these options, and returns when it takes connections. `None`: it is not
    /// installed. `{port}` in an option is its port, which is 0 for other connections than those
    /// with TLS if an option names it as `--tls-port`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(options: &[&str]) -> Result<Option<Self>> {
        let Some(program) = which(PROGRAM) else {
            return Ok(None);
        };
        let port = free_port()?;
        let options: Vec<_> = options
            .iter()
            .map(|option| option.replace("{port}", &port.to_string()))
            .collect();
        let folder = tempfile::Builder::new().prefix("redis-").tempdir()?;
        let child = spawn(&program, &options, &folder, port)?;
        let mut redis = Self {
            child,
            program,
            options,
            folder,
            port,
        };
        redis.wait_until_ready()?;
        Ok(Some(redis))
    }

    /// Its port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the process for a while, without an end of its connections.
    ///
    /// # Errors
    /// It has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills the process.
    ///
    /// # Errors
    /// It has ended already.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again after it was killed, with what it has kept.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.child = spawn(&self.program, &self.options, &self.folder, self.port)?;
        self.wait_until_ready()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        Ok(kill_process(pid, signal)?)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait()?;
            let output = self.folder.path().join("output");
            ensure!(
                ended.is_none() && Instant::now() < deadline,
                "{PROGRAM} does not start: {}",
                std::fs::read_to_string(output).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // If it has ended by itself, this only waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &PathBuf, options: &[String], folder: &TempDir, port: u16) -> Result<Child> {
    let output = File::options()
        .create(true)
        .append(true)
        .open(folder.path().join("output"))?;
    let has_tls = options.iter().any(|option| option == "--tls-port");
    let plain_port = if has_tls { 0 } else { port };
    let mut command = Command::new(program);
    command
        .args(["--bind", "127.0.0.1", "--port", &plain_port.to_string()])
        .args(["--save", "", "--dir"])
        .arg(folder.path())
        .args(options);
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}
