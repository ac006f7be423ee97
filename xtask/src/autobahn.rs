//! The Autobahn test suite, which checks a real server against every rule of the protocol.
//!
//! [kosoku](https://pypi.org/project/kosoku/), a client in Python, runs the cases. It is installed
//! into the target folder.

mod client;
mod report;
mod tunnel;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

pub use self::client::Client;
pub use self::report::Report;
use self::tunnel::Tunnel;
use crate::c_plugin;
use crate::httpd::Httpd;
use crate::port;
use crate::server_root::{Mpm, ServerRoot, Sizing, quoted};
use crate::workspace::{C_PLUGINS, Workspace};

/// The number of cases without compression: groups 1 to 10.
pub const PLAIN_CASES: usize = 301;

/// The driver of the module's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// The module's event loops; only on the event MPM.
    Event,
    /// The thread that handled the request, one per connection.
    Blocking,
}

/// The server to test.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The multi-processing module.
    pub mpm: Mpm,
    /// The driver of the connections.
    pub driver: Driver,
    /// Whether the connections are encrypted.
    pub tls: bool,
}

/// The cases to run, as patterns such as `1.1.1` or `9.*`.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The cases to run; empty for all.
    pub include: Vec<String>,
    /// The cases to leave out.
    pub exclude: Vec<String>,
}

impl Setup {
    /// Starts a server with `module`, runs the selected cases against the echo plugin in C, and
    /// stops the server. The client writes its report to `folder`, and deletes earlier reports in
    /// it.
    ///
    /// # Errors
    /// The server does not start, or the client fails. Failed cases are not errors here; they are
    /// in the report.
    pub fn run(
        self,
        client: &Client,
        module: &Path,
        folder: &Path,
        selection: &Selection,
    ) -> Result<Report> {
        let httpd = self.start(module)?;
        let tunnel = self
            .tls
            .then(|| Tunnel::start(client, &httpd))
            .transpose()?;
        let address = tunnel.as_ref().map_or(httpd.address(), Tunnel::address);
        let report = client.run(&format!("{address}/echo"), folder, selection)?;
        httpd.stop()?;
        Ok(report)
    }

    fn start(self, module: &Path) -> Result<Httpd> {
        ensure!(
            self.driver == Driver::Blocking || self.mpm == Mpm::Event,
            "only the event MPM has the event driver; this is {}",
            self.mpm
        );
        let mut root = ServerRoot::temporary()?;
        let plugin = compile_echo(root.dir())?;
        let event_driven = if self.driver == Driver::Event {
            "On"
        } else {
            "Off"
        };
        root = root
            .mpm(self.mpm)
            .sizing(Sizing {
                processes: 1,
                threads: 16,
            })
            .load_module("websocket_module", absolute(module)?)
            .config(format!(
                "WebSocketEventDriven {event_driven}\n\
                 <Location /echo>\n\
                 SetHandler websocket-handler\n\
                 WebSocketHandler {} echo_init\n\
                 WebSocketCompression On\n\
                 WebSocketMaxFragments 100000\n\
                 </Location>",
                quoted(&plugin)
            ));
        if self.tls {
            root = root.tls_port(port::free_port()?);
        }
        root.start()
    }
}

fn compile_echo(folder: &Path) -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    let source = workspace.root().join(C_PLUGINS).join("echo.c");
    c_plugin::compile(source, folder, workspace.include_dir())
}

fn absolute(library: &Path) -> Result<PathBuf> {
    let path = library.canonicalize();
    path.with_context(|| format!("no {}", library.display()))
}
