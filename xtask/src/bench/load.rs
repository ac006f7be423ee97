//! Running the load generator.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xtask::command::line;

use super::compression::Compression;
use super::cores::Cores;
use super::field::Contender;
use super::neighbours::Load;
use super::peer::Programs;
use super::shape::Shape;
use super::values::Values;

/// Loads one server at a time, until the user has had enough.
pub(crate) struct Generator<'a> {
    programs: &'a Programs,
    cores: Cores,
    signals: Signals,
    seconds: f64,
}

impl<'a> Generator<'a> {
    /// Each measurement takes `seconds`. From here on Ctrl-C ends the measurement, not the process,
    /// so that the servers are stopped in order.
    ///
    /// # Errors
    /// Signals cannot be watched.
    pub(crate) fn new(programs: &'a Programs, cores: Cores, seconds: f64) -> Result<Self> {
        Ok(Self {
            programs,
            cores,
            signals: Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?,
            seconds,
        })
    }

    /// Sends as many messages as `contender` takes.
    ///
    /// # Errors
    /// The generator fails, which it does when an echo is wrong or missing; or [`Interrupted`].
    pub(crate) fn run(&mut self, contender: &Contender, shape: Shape) -> Result<Values> {
        self.load(contender, &["--shape", &shape.argument()])
            .with_context(|| format!("{} at {shape}", contender.name))
    }

    /// Opens `count` connections to `contender`, most of which stay idle.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub(crate) fn idle(&mut self, contender: &Contender, count: usize) -> Result<Values> {
        self.load(contender, &["--idle", &count.to_string()])
            .with_context(|| format!("{} with {count} idle connections", contender.name))
    }

    /// Measures quiet clients of `contender` beside a load.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub(crate) fn neighbours(&mut self, contender: &Contender, load: Load) -> Result<Values> {
        self.load(contender, &["--neighbours", load.argument])
            .with_context(|| format!("{} beside {}", contender.name, load.argument))
    }

    /// Has `contender` send every message to all clients.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub(crate) fn fanout(&mut self, contender: &Contender, shape: Shape) -> Result<Values> {
        self.load(contender, &["--fanout", &shape.argument()])
            .with_context(|| format!("{} at {shape}", contender.name))
    }

    /// Has `contender` send each message to one of so many groups of clients.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub(crate) fn groups(
        &mut self,
        contender: &Contender,
        shape: Shape,
        groups: usize,
    ) -> Result<Values> {
        let (shape, groups) = (shape.argument(), groups.to_string());
        self.load(contender, &["--fanout", &shape, "--groups", &groups])
            .with_context(|| format!("{} with {groups} groups", contender.name))
    }

    /// Has `contender` and another server send every message to all clients of both.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub(crate) fn between(
        &mut self,
        contender: &Contender,
        other: SocketAddr,
        shape: Shape,
    ) -> Result<Values> {
        let (shape, other) = (shape.argument(), other.to_string());
        self.load(contender, &["--fanout", &shape, "--also", &other])
            .with_context(|| format!("{} at {shape}", contender.name))
    }

    /// Has so many connections of `contender` subscribe to topics.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub(crate) fn subscriptions(&mut self, contender: &Contender, count: usize) -> Result<Values> {
        self.load(contender, &["--subscriptions", &count.to_string()])
            .with_context(|| contender.name.to_owned())
    }

    fn load(&mut self, contender: &Contender, experiment: &[&str]) -> Result<Values> {
        let mut command = self.programs.command("load");
        command
            .args(["--to", &contender.address.to_string()])
            .args(["--pid", &contender.pid.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(contender.tls.then_some("--tls"))
            .args(contender.compression.map(|_| "--json"))
            .args(
                contender
                    .compression
                    .map_or(&[][..], Compression::arguments),
            )
            .args(experiment);
        let mut load = Running(self.cores.on_loads(|| start(&mut command))?);
        self.wait_for(&mut load)?;
        load.values()
    }

    fn wait_for(&mut self, load: &mut Running) -> Result<()> {
        // SIGCHLD may have come before we got here.
        while load.0.try_wait()?.is_none() {
            if self.signals.wait().any(|signal| signal != SIGCHLD) {
                return Err(Interrupted.into());
            }
        }
        Ok(())
    }
}

/// The user has had enough.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl Display for Interrupted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// A running generator, killed when dropped.
struct Running(Child);

impl Running {
    fn values(&mut self) -> Result<Values> {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        if let (Some(output), Some(errors)) = (&mut self.0.stdout, &mut self.0.stderr) {
            output.read_to_string(&mut stdout)?;
            errors.read_to_string(&mut stderr)?;
        }
        if !self.0.wait()?.success() {
            bail!("the load generator failed: {}", stderr.trim());
        }
        Ok(Values::new(stdout))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The only errors are that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Result<Child> {
    let streams = command.stdin(Stdio::null());
    let child = streams
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    child.with_context(|| format!("cannot run `{}`", line(command)))
}
