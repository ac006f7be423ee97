//! The servers that are measured against each other.

mod fanout;
mod topics;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::c_plugin;
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, ServerRoot, Sizing, quoted};
use xtask::workspace::{C_PLUGINS, Library, Profile, Workspace, module_of};

use super::compression::Compression;
use super::cores::Cores;
use super::peer::{Peer, Programs};
pub(crate) use topics::TopicField;

/// A server to measure.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// Another contender that it is compared with in particular.
    pub(crate) counterpart: Option<&'static str>,
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    /// Where compression is measured, what this one does.
    pub(crate) compression: Option<Compression>,
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
    /// Threads of each of httpd's children.
    pub(crate) threads: u32,
    pub(crate) tls: bool,
    /// Whether our module runs with `WebSocketDetach On` too.
    pub(crate) detached: bool,
    /// Whether only our module runs, with the usual number of threads and with few.
    pub(crate) neighbours: bool,
    /// Whether our module runs with an async plugin too.
    pub(crate) asynchronous: bool,
    /// Whether the servers send every message to all.
    pub(crate) fanout: bool,
    /// Besides, whether our module runs with so many event loops on as many cores too.
    pub(crate) loops: Option<usize>,
    /// Whether every server that can compress runs with and without.
    pub(crate) compression: bool,
    /// More directives for our module.
    pub(crate) config: String,
}

/// A module of another build, or another module of this name.
#[derive(Clone, Debug)]
pub(crate) struct Against {
    pub(crate) module: PathBuf,
    /// Its plugin; ours in C if not given.
    pub(crate) plugin: Option<PathBuf>,
    pub(crate) init: String,
}

/// A plugin, which gets an httpd of its own: memory that one has used, another would find.
#[derive(Clone, Copy)]
struct Served<'a> {
    name: &'static str,
    counterpart: Option<&'static str>,
    /// Where httpd keeps its files; the number of the httpd is added.
    folder: &'static str,
    module: &'a Path,
    plugin: &'a Path,
    init: &'a str,
    directives: &'a str,
    /// How many children httpd has.
    processes: u32,
    /// On how many cores, if not on one.
    cores: Option<usize>,
    compression: Option<Compression>,
}

/// A server to compare with.
struct Program {
    name: &'static str,
    file: &'static str,
    arguments: &'static [&'static str],
    speaks_tls: bool,
    /// Whether it can compress; those that can are of interest only then.
    compresses: bool,
}

/// The plugins that only the benchmark has: `fanout.c`, and a package in Rust.
const PLUGINS: &str = "module/benches/plugins";

const RUST_PLUGIN: &str = "Rust plugin";
const ASYNC_PLUGIN: &str = "async plugin";

const PEERS: [Program; 6] = [
    Program {
        name: "floor",
        file: "floor",
        arguments: &[],
        speaks_tls: false,
        compresses: false,
    },
    Program {
        name: "tungstenite",
        file: "peer-tungstenite",
        arguments: &[],
        speaks_tls: true,
        compresses: false,
    },
    Program {
        name: "tungstenite forward",
        file: "peer-tungstenite",
        arguments: &["--forward"],
        speaks_tls: true,
        compresses: false,
    },
    Program {
        name: "fastwebsockets",
        file: "peer-fastwebsockets",
        arguments: &[],
        speaks_tls: false,
        compresses: false,
    },
    Program {
        name: "yawc",
        file: "peer-yawc",
        arguments: &[],
        speaks_tls: false,
        compresses: true,
    },
    Program {
        name: "yawc forward",
        file: "peer-yawc",
        arguments: &["--forward"],
        speaks_tls: false,
        compresses: true,
    },
];

impl Program {
    fn takes_part(&self, tls: bool, compression: Option<Compression>) -> bool {
        let compresses = match compression {
            None => !self.compresses,
            Some(Compression::Off) => true,
            Some(_) => self.compresses,
        };
        compresses && (self.speaks_tls || !tls)
    }
}

impl Field {
    /// Builds and starts everything.
    ///
    /// # Errors
    /// A build fails, or a server does not start.
    pub(crate) fn start(setup: &Setup<'_>, against: Option<&Against>) -> Result<Self> {
        if setup.fanout {
            return Self::start_fanout(setup, against);
        }
        let libraries = setup.workspace.build_libraries(Profile::Release)?;
        let in_c = c_plugin::compile(
            setup.workspace.root().join(C_PLUGINS).join("echo.c"),
            setup.workspace.target_dir().join("bench/plugins"),
            setup.workspace.include_dir(),
        )?;
        let mut field = Self::default();
        let kinds = match setup.compression {
            false => vec![None],
            true => Compression::ALL.map(Some).to_vec(),
        };
        for compression in kinds {
            field.start_ours(setup, compression, &libraries, &in_c)?;
            // Another module is there once, without compression.
            if let Some(other) = against.filter(|_| field.peers.is_empty()) {
                let echo = Served {
                    name: "other module",
                    counterpart: None,
                    folder: "httpd-other",
                    module: &other.module,
                    plugin: other.plugin.as_ref().unwrap_or(&in_c),
                    init: &other.init,
                    directives: "",
                    processes: 1,
                    cores: None,
                    compression,
                };
                field.start_httpd(setup, &echo)?;
            }
            for peer in &PEERS {
                if !setup.neighbours && peer.takes_part(setup.tls, compression) {
                    field.start_peer(setup, peer, compression)?;
                }
            }
        }
        Ok(field)
    }

    /// Our module with an echo in C, one in Rust, that detached, and an async one.
    fn start_ours(
        &mut self,
        setup: &Setup<'_>,
        compression: Option<Compression>,
        libraries: &[Library],
        in_c: &Path,
    ) -> Result<()> {
        let for_compression = compression.map_or("", Compression::directives);
        let directives = format!("{for_compression}\n{}", setup.config);
        let echo = Served {
            name: "mod_websocket",
            counterpart: None,
            folder: "httpd-c",
            module: module_of(libraries)?,
            plugin: in_c,
            init: "echo_init",
            directives: &directives,
            processes: 1,
            cores: None,
            compression,
        };
        self.start_httpd(setup, &echo)?;
        if setup.neighbours {
            let echo = Served {
                name: "WebSocketThreads 2 4",
                folder: "httpd-few",
                directives: &format!("{directives}\nWebSocketThreads 2 4"),
                ..echo
            };
            return self.start_httpd(setup, &echo);
        }
        let Some(plugin) = echo_in_rust(libraries) else {
            return Ok(());
        };
        let echo = Served {
            name: RUST_PLUGIN,
            folder: "httpd-rust",
            plugin,
            ..echo
        };
        self.start_httpd(setup, &echo)?;
        if setup.asynchronous {
            let plugins = Path::new(PLUGINS);
            let plugin = &setup.workspace.build_library(plugins, Profile::Release)?;
            let echo = Served {
                name: ASYNC_PLUGIN,
                folder: "httpd-async",
                plugin,
                init: "async_echo_init",
                ..echo
            };
            self.start_httpd(setup, &echo)?;
        }
        if setup.detached {
            let echo = Served {
                name: "Rust plugin, detached",
                folder: "httpd-detached",
                directives: &format!("{directives}\nWebSocketDetach On"),
                ..echo
            };
            self.start_httpd(setup, &echo)?;
        }
        Ok(())
    }

    fn start_httpd(&mut self, setup: &Setup<'_>, served: &Served<'_>) -> Result<()> {
        let Served {
            name,
            counterpart,
            folder,
            module,
            plugin,
            init,
            directives,
            processes,
            cores,
            compression,
        } = *served;
        let plugin = quoted(&absolute(plugin)?);
        let number = self.httpds.len();
        let folder = format!("bench/{folder}-{number}");
        let mut root = ServerRoot::new(setup.workspace.target_dir().join(folder))?
            .mpm(setup.mpm)
            .sizing(Sizing {
                processes,
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
        let httpd = match cores {
            None => setup.cores.on_servers(|| root.start())?,
            Some(count) => setup.cores.on_several(count, || root.start())?,
        };
        self.contenders.push(Contender {
            name,
            counterpart,
            address: httpd.tls_address().unwrap_or(httpd.address()),
            tls: setup.tls,
            compression,
            pid: httpd.pid(),
        });
        self.httpds.push(httpd);
        Ok(())
    }

    fn start_peer(
        &mut self,
        setup: &Setup<'_>,
        program: &Program,
        compression: Option<Compression>,
    ) -> Result<()> {
        let mut command = setup.programs.command(program.file);
        command
            .args(program.arguments)
            .args(compression.map_or(&[][..], Compression::arguments));
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
            counterpart: None,
            address: peer.address(),
            tls: setup.tls,
            compression,
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
