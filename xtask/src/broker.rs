//! A Redis or NATS server of one's own, on a loopback port.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::apache::which;
use crate::port::free_port;

/// What topics can be shared through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Redis.
    Redis,
    /// NATS with JetStream.
    Nats,
    /// NATS without JetStream.
    LiveNats,
}

impl Kind {
    /// The name of the program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Nats | Self::LiveNats => "nats-server",
        }
    }

    /// The address for `WebSocketTopicBroker`, with this port of this machine.
    #[must_use]
    pub fn address(self, port: u16) -> String {
        self.address_at(Ipv4Addr::LOCALHOST, port)
    }

    /// The same, on another machine.
    #[must_use]
    pub fn address_at(self, host: Ipv4Addr, port: u16) -> String {
        match self {
            Self::Redis => format!("redis://{host}:{port}"),
            Self::Nats | Self::LiveNats => format!("nats://{host}:{port}"),
        }
    }

    /// What has it take connections from other machines.
    #[must_use]
    pub fn for_others(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &["--bind", "0.0.0.0", "--protected-mode", "no"],
            Self::Nats | Self::LiveNats => &["--addr", "0.0.0.0"],
        }
    }

    /// What has it write to the disk before it confirms something.
    #[must_use]
    pub fn with_store(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &["--appendonly", "yes", "--appendfsync", "always"],
            // It does so anyway, or not at all.
            Self::Nats | Self::LiveNats => &[],
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub struct Broker {
    kind: Kind,
    child: Child,
    program: PathBuf,
    options: Vec<String>,
    folder: TempDir,
    port: u16,
}

impl Broker {
    /// Starts one with these options, and returns when it takes connections. `None`: it is not
    /// installed. `{port}` in an option is its port. If an option of Redis names it as
    /// `--tls-port`, it takes connections with TLS only.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(kind: Kind, options: &[&str]) -> Result<Option<Self>> {
        let Some(program) = which(kind.program()) else {
            return Ok(None);
        };
        let port = free_port()?;
        let options: Vec<_> = options
            .iter()
            .map(|option| option.replace("{port}", &port.to_string()))
            .collect();
        let folder = tempfile::Builder::new().prefix("broker-").tempdir()?;
        let child = spawn(kind, &program, &options, &folder, port)?;
        let mut broker = Self {
            kind,
            child,
            program,
            options,
            folder,
            port,
        };
        broker.wait_until_ready()?;
        Ok(Some(broker))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its address for `WebSocketTopicBroker`.
    #[must_use]
    pub fn address(&self) -> String {
        self.kind.address(self.port)
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

    /// Removes what it has stored, after it was killed.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn empty(&self) -> Result<()> {
        for entry in fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Starts it again after it was killed, with what it has kept.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> Result<()> {
        let Self {
            kind,
            program,
            options,
            folder,
            port,
            ..
        } = self;
        self.child = spawn(*kind, program, options, folder, *port)?;
        self.wait_until_ready()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
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
                "{} does not start: {}",
                self.kind.program(),
                fs::read_to_string(output).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // If it has ended by itself, this only waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(
    kind: Kind,
    program: &PathBuf,
    options: &[String],
    folder: &TempDir,
    port: u16,
) -> Result<Child> {
    let output = File::options()
        .create(true)
        .append(true)
        .open(folder.path().join("output"))?;
    let mut command = Command::new(program);
    match kind {
        Kind::Redis => {
            let has_tls = options.iter().any(|option| option == "--tls-port");
            let plain_port = if has_tls { 0 } else { port };
            command
                .args(["--bind", "127.0.0.1", "--port", &plain_port.to_string()])
                .args(["--save", "", "--dir"])
                .arg(folder.path());
        }
        Kind::Nats | Kind::LiveNats => {
            command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        }
    }
    if kind == Kind::Nats {
        command
            .args(["--jetstream", "--store_dir"])
            .arg(folder.path());
    }
    command
        .args(options)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}
