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
    /// Whether our module runs with `WebSocketDetach On` too.
    pub(crate) detached: bool,
    /// More directives for our module.
    pub(crate) config: String,
}

/// A module of another build, or another module of this name.
#[derive(Clone, Debug)]
pub(crate) struct Against {
    pub(crate) module: PathBuf,
    /// The echo plugin; ours in C if not given.
    pub(crate) plugin: Option<PathBuf>,
    pub(crate) init: String,
}

/// An echo plugin, which gets an httpd of its own: memory that one has used, another would find.
struct Echo<'a> {
    name: &'static str,
    /// Where httpd keeps its files.
    folder: &'static str,
    module: &'a Path,
    plugin: &'a Path,
    init: &'a str,
    directives: &'a str,
}

/// An echo server to compare with.
struct Program {
    name: &'static str,
    file: &'static str,
    arguments: &'static [&'static str],
    speaks_tls: bool,
}

const PEERS: [Program; 4] = [
    Program {
        name: "floor",
        file: "floor",
        arguments: &[],
        speaks_tls: false,
    },
    Program {
        name: "tungstenite",
        file: "peer-tungstenite",
        arguments: &[],
        speaks_tls: true,
    },
    Program {
        name: "tungstenite forward",
        file: "peer-tungstenite",
        arguments: &["--forward"],
        speaks_tls: true,
    },
    Program {
        name: "fastwebsockets",
        file: "peer-fastwebsockets",
        arguments: &[],
        speaks_tls: false,
    },
];

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
        let module = module_of(&libraries)?;
        field.start_httpd(
            setup,
            &Echo {
                name: "mod_websocket",
                folder: "httpd-c",
                module,
                plugin: &in_c,
                init: "echo_init",
                directives: &setup.config,
            },
        )?;
        if let Some(plugin) = echo_in_rust(&libraries) {
            let echo = Echo {
                name: "Rust plugin",
                folder: "httpd-rust",
                module,
                plugin,
                init: "echo_init",
                directives: &setup.config,
            };
            field.start_httpd(setup, &echo)?;
            if setup.detached {
                let echo = Echo {
                    name: "Rust plugin, detached",
                    folder: "httpd-detached",
                    directives: &format!("{}\nWebSocketDetach On", setup.config),
                    ..echo
                };
                field.start_httpd(setup, &echo)?;
            }
        }
        if let Some(other) = against {
            let echo = Echo {
                name: "other module",
                folder: "httpd-other",
                module: &other.module,
                plugin: other.plugin.as_ref().unwrap_or(&in_c),
                init: &other.init,
                directives: "",
            };
            field.start_httpd(setup, &echo)?;
        }
        for peer in PEERS.iter().filter(|peer| peer.speaks_tls || !setup.tls) {
            field.start_peer(setup, peer)?;
        }
        Ok(field)
    }

    fn start_httpd(&mut self, setup: &Setup<'_>, echo: &Echo<'_>) -> Result<()> {
        let Echo {
            name,
            folder,
            module,
            plugin,
            init,
            directives,
        } = *echo;
        let plugin = quoted(&absolute(plugin)?);
        let mut root = ServerRoot::new(setup.workspace.target_dir().join("bench").join(folder))?
            .mpm(setup.mpm)
            .sizing(Sizing {
                processes: 1,
                threads: setup.threads,
            })
            .load_module("websocket_module", absolute(module)?)
            .config(format!(
                "<Location \"/\">\n    SetHandler websocket-handler\n    \
                 WebSocketHandler {plugin} {init}\n</Location>"
            ))
            .config(directives);
        if setup.tls {
            root = root.tls_port(port::free_port()?);
        }
        let httpd = setup.cores.on_servers(|| root.start())?;
        self.contenders.push(Contender {
            name,
            address: httpd.tls_address().unwrap_or(httpd.address()),
            tls: setup.tls,
            pid: httpd.pid(),
        });
        self.httpds.push(httpd);
        Ok(())
    }

    fn start_peer(&mut self, setup: &Setup<'_>, program: &Program) -> Result<()> {
        let mut command = setup.programs.command(program.file);
        command.args(program.arguments);
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
            name: program.name,
            address: peer.address(),
            tls: setup.tls,
            pid: peer.pid(),
        });
        self.peers.push(peer);
        Ok(())
    }
}

fn absolute(library: &Path) -> Result<PathBuf> {
    let path = library.canonicalize();
    path.with_context(|| format!("no {}", library.display()))
}

fn echo_in_rust(libraries: &[Library]) -> Option<&Path> {
    let source = Path::new("examples/echo");
    let echo = libraries.iter().find(|library| library.source == source)?;
    Some(&echo.path)
}
