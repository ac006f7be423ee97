//! The echo servers to compare with, and the load generator: a Cargo package of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use xtask::command::{line, run};
use xtask::workspace::Workspace;

/// The folder of the package.
pub(crate) const PACKAGE: &str = "module/benches/load";

/// The programs of the package, built.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// # Errors
    /// The build fails; Cargo has said why.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self> {
        let manifest = workspace.root().join(PACKAGE).join("Cargo.toml");
        let target_dir = workspace.target_dir().join("bench/build");
        run(workspace
            .cargo()
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(&target_dir))?;
        Ok(Self {
            folder: target_dir.join("release"),
        })
    }

    pub(crate) fn command(&self, name: &str) -> Command {
        Command::new(self.folder.join(name))
    }
}

/// A running echo server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Child,
    address: SocketAddr,
}

impl Peer {
    /// Starts it; returns once it listens, which it reports by a line with its address.
    ///
    /// # Errors
    /// It cannot be run, or ends before that.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let process = process.with_context(|| format!("cannot run `{}`", line(&command)))?;
        let mut peer = Self {
            process,
            address: SocketAddr::from(([0; 4], 0)),
        };
        peer.address = peer.announced_address().with_context(|| {
            let program = Path::new(command.get_program());
            format!("{} does not say where it listens", program.display())
        })?;
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn announced_address(&mut self) -> Result<SocketAddr> {
        let stdout = self.process.stdout.take().context("it has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The only errors are that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
