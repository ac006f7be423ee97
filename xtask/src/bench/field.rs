//! The servers that are measured against each other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::c_plugin;
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, ServerRoot, Sizing, quoted};
use xtask::workspace::{C_PLUGINS, Library, Profile, Workspace, module_of};

use super::cores::Cores;
use super::peer::{Peer, Programs};

/// An echo to measure.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) tls: bool,
    /// The first process of the server; those it has started belong to it.
    pub(crate) pid: u32,
}

/// All contenders, running. The first is what the others are compared with.
#[derive(Debug, Default)]
pub(crate) struct Field {
    pub(crate) contenders: Vec<Contender>,
    httpds: Vec<Httpd>,
    peers: Vec<Peer>,
}

/// How the servers are to be run.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) programs: &'a Programs,
    pub(crate) cores: Cores,
    pub(crate) mpm: Mpm,
    /// Threads of httpd's one child.
    pub(crate) threads: u32,
    pub(crate) tls: bool,
}

/// A module of another build, or another module of this name.
#[derive(Clone, Debug)]
pub(crate) struct Against {
    pub(crate) module: PathBuf,
    /// The echo plugin; ours in C if not given.
    pub(crate) plugin: Option<PathBuf>,
    pub(crate) init: String,
}

/// An echo plugin and where httpd serves it.
struct Echo<'a> {
    name: &'static str,
    path: &'static str,
    plugin: &'a Path,
    init: &'a str,
}

impl Field {
    /// Builds and starts everything.
    ///
    /// # Errors
    /// A build fails, or a server does not start.
    pub(crate) fn start(setup: &Setup<'_>, against: Option<&Against>) -> Result<Self> {
        let libraries = setup.workspace.build_libraries(Profile::Release)?;
        let in_c = c_plugin::compile(
            setup.workspace.root().join(C_PLUGINS).join("echo.c"),
            setup.workspace.target_dir().join("bench/plugins"),
            setup.workspace.include_dir(),
        )?;
        let mut field = Self::default();
        let mut echoes = vec![Echo {
            name: "mod_websocket",
            path: "/c",
            plugin: &in_c,
            init: "echo_init",
        }];
        echoes.extend(echo_in_rust(&libraries));
        field.start_httpd(setup, "httpd", module_of(&libraries)?, &echoes)?;
        if let Some(Against {
            module,
            plugin,
            init,
        }) = against
        {
            let echo = Echo {
                name: "other module",
                path: "/other",
                plugin: plugin.as_ref().unwrap_or(&in_c),
                init,
            };
            field.start_httpd(setup, "httpd-other", module, &[echo])?;
        }
        if !setup.tls {
            field.start_peer(setup, "floor", "floor")?;
        }
        field.start_peer(setup, "tungstenite", "peer-tungstenite")?;
        if !setup.tls {
            field.start_peer(setup, "fastwebsockets", "peer-fastwebsockets")?;
        }
        Ok(field)
    }

    fn start_httpd(
        &mut self,
        setup: &Setup<'_>,
        folder: &str,
        module: &Path,
        echoes: &[Echo<'_>],
    ) -> Result<()> {
        let mut root = ServerRoot::new(setup.workspace.target_dir().join("bench").join(folder))?
            .mpm(setup.mpm)
            .sizing(Sizing {
                processes: 1,
                threads: setup.threads,
            })
            .load_module("websocket_module", module.canonicalize()?);
        if setup.tls {
            root = root.tls_port(port::free_port()?);
        }
        for Echo {
            path, plugin, init, ..
        } in echoes
        {
            let plugin = quoted(&plugin.canonicalize()?);
            root = root.config(format!(
                "<Location \"{path}\">\n    SetHandler websocket-handler\n    \
                 WebSocketHandler {plugin} {init}\n</Location>"
            ));
        }
        let httpd = setup.cores.on_servers(|| root.start())?;
        let address = httpd.tls_address().unwrap_or(httpd.address());
        self.contenders.extend(echoes.iter().map(|echo| Contender {
            name: echo.name,
            address,
            path: echo.path,
            tls: setup.tls,
            pid: httpd.pid(),
        }));
        self.httpds.push(httpd);
        Ok(())
    }

    fn start_peer(&mut self, setup: &Setup<'_>, name: &'static str, program: &str) -> Result<()> {
        let mut command = setup.programs.command(program);
        if setup.tls {
            let root = self
                .httpds
                .first()
                .context("no httpd has a certificate")?
                .root();
            command
                .arg("--certificate")
                .arg(root.certificate())
                .arg("--key")
                .arg(root.dir().join("conf/localhost.key"));
        }
        let peer = setup.cores.on_servers(|| Peer::start(command))?;
        self.contenders.push(Contender {
            name,
            address: peer.address(),
            path: "/",
            tls: setup.tls,
            pid: peer.pid(),
        });
        self.peers.push(peer);
        Ok(())
    }
}

fn echo_in_rust(libraries: &[Library]) -> Option<Echo<'_>> {
    let source = Path::new("examples/echo");
    let library = libraries.iter().find(|library| library.source == source)?;
    Some(Echo {
        name: "Rust plugin",
        path: "/rust",
        plugin: &library.path,
        init: "echo_init",
    })
}
