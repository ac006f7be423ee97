//! Servers: one that all cases of an MPM share, and short-lived ones for single cases.

use std::fmt;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use xtask::apache::{Apache, Version};
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, ServerRoot, Sizing};
pub(crate) use xtask::soak::ensure_healthy;
use xtask::soak::is_slow;
use xtask::workspace::module_library;

use super::handshake::Handshake;
use super::plugins::Plugins;
use super::{Client, wait_until};

/// The first version of httpd whose mod_http2 supports WebSockets.
pub(crate) const HTTP2_WEBSOCKETS: Version = Version(2, 4, 58);

/// Enables HTTP/2 with WebSockets, in cleartext and over TLS.
pub(crate) const HTTP2: &str = "Protocols h2 h2c http/1.1\nH2WebSockets on";

/// The driver of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// The module's event loops.
    Event,
    /// The MPM's thread of each connection.
    Blocking,
}

impl Driver {
    pub(crate) fn of(mpm: Mpm) -> &'static [Self] {
        if mpm == Mpm::Event {
            &[Self::Event, Self::Blocking]
        } else {
            &[Self::Blocking]
        }
    }
}

/// The environment of a case.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) mpm: Mpm,
    pub(crate) driver: Driver,
    plugins: Arc<Plugins>,
    shared: Arc<Mutex<Option<Arc<Httpd>>>>,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mpm, self.driver) {
            (Mpm::Event, Driver::Blocking) => write!(f, "{} (blocking)", self.mpm),
            (mpm, _) => mpm.fmt(f),
        }
    }
}

impl Context {
    pub(crate) fn new(mpm: Mpm, driver: Driver, plugins: Arc<Plugins>) -> Self {
        Self {
            mpm,
            driver,
            plugins,
            shared: Arc::default(),
        }
    }

    pub(crate) fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// The server that the cases of this MPM share. The first call starts it.
    pub(crate) fn httpd(&self) -> Result<Arc<Httpd>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_none() {
            *shared = Some(Arc::new(self.shared_root()?.start()?));
        }
        Ok(Arc::clone(shared.as_ref().expect("just set")))
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.httpd()?.address())
    }

    /// Opens a WebSocket on the shared server.
    pub(crate) fn open(&self, target: &str) -> Result<Client> {
        self.open_with(&Handshake::to(target))
    }

    pub(crate) fn open_with(&self, handshake: &Handshake) -> Result<Client> {
        Client::open(self.address()?, handshake)
    }

    /// Ends the shared server, and checks that its children are all right.
    pub(crate) fn finish(&self) -> Result<()> {
        let Some(shared) = self
            .shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return Ok(());
        };
        wait_until("the last case lets go of the server", || {
            Ok(Arc::strong_count(&shared) == 1)
        })?;
        let log = shared.error_log()?;
        drop(shared);
        ensure_healthy(&log)
    }

    /// The longest time for a hard stop or restart, including httpd's own part.
    pub(crate) fn stops_within(&self) -> Result<Duration> {
        let version = Apache::find()?.version;
        let is_slow = is_slow(self.mpm == Mpm::Worker, version);
        Ok(Duration::from_secs(if is_slow { 6 + 5 } else { 6 }))
    }

    /// Whether the httpd under test supports WebSockets over HTTP/2. mod_http2 does from 2.4.58 on,
    /// but not in processes with one thread.
    pub(crate) fn serves_http2(&self) -> Result<bool> {
        Ok(self.mpm != Mpm::Prefork && Apache::find()?.version >= HTTP2_WEBSOCKETS)
    }

    /// Enables HTTP/2 in a server if it supports WebSockets.
    pub(crate) fn with_http2(&self, root: ServerRoot) -> Result<ServerRoot> {
        Ok(if self.serves_http2()? {
            root.stock_module("http2").config(HTTP2)
        } else {
            root
        })
    }

    /// A server root with our module, for a server for a single case.
    pub(crate) fn root(&self) -> Result<ServerRoot> {
        let root = ServerRoot::temporary()?
            .mpm(self.mpm)
            .load_module("websocket_module", module_library()?);
        Ok(match self.driver {
            Driver::Blocking if self.mpm == Mpm::Event => root.config("WebSocketEventDriven Off"),
            _ => root,
        })
    }

    /// Starts a server for a single case, with every plugin at `/NAME` and additional
    /// configuration.
    pub(crate) fn start(&self, config: &str) -> Result<Httpd> {
        self.root()?
            .config(self.plugins.locations())
            .config(config)
            .start()
    }

    /// Like [`Context::start`], with one child process that serves everything (on prefork: one that
    /// is started first).
    pub(crate) fn start_small(&self, threads: u32, config: &str) -> Result<Httpd> {
        let sizing = Sizing {
            processes: 1,
            threads,
        };
        let root = self
            .root()?
            .sizing(sizing)
            .config(self.plugins.locations())
            .config(config);
        root.config(if self.mpm == Mpm::Prefork {
            "StartServers 1"
        } else {
            ""
        })
        .start()
    }

    fn shared_root(&self) -> Result<ServerRoot> {
        let sizing = Sizing {
            processes: 2,
            threads: 64,
        };
        let mut root = self.root()?.sizing(sizing).tls_port(port::free_port()?);
        if port::has_ipv6_loopback() {
            root = root.ipv6();
        }
        for module in [
            "alias",
            "auth_basic",
            "authn_core",
            "authn_file",
            "authz_user",
            "deflate",
            "dumpio",
            "filter",
            "headers",
        ] {
            root = root.stock_module(module);
        }
        let folder = root.dir().join("site");
        write_site(&folder, &self.plugins)?;
        let prefork = "StartServers 16\nMinSpareServers 8\n";
        let spare = if self.mpm == Mpm::Prefork {
            prefork
        } else {
            ""
        };
        Ok(root
            .config(spare)
            .config(shared_config(&self.plugins, &folder)))
    }
}

/// Writes the files of the site, and a folder with an .htaccess file.
fn write_site(folder: &Path, plugins: &Plugins) -> Result<()> {
    let handler = plugins.handler("echo");
    for (name, text) in [
        ("page.txt", "a page".to_owned()),
        (
            "users",
            "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n".to_owned(),
        ), // "password"
        (
            "ht/.htaccess",
            format!("SetHandler websocket-handler\n{handler}\nMaxMessageSize 5\n"),
        ),
        ("ht/room", String::new()),
        ("denied/.htaccess", handler),
    ] {
        let path = folder.join(name);
        let parent = path.parent().expect("in the folder");
        std::fs::create_dir_all(parent)?;
        for dir in [folder, parent] {
            std::fs::set_permissions(dir, Permissions::from_mode(0o755))?;
        }
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn shared_config(plugins: &Plugins, folder: &Path) -> String {
    let echo = |path: &str, directives: &str| plugins.location(path, "echo", directives);
    let folder = folder.display();
    let users = format!("AuthType Basic\nAuthName x\nAuthUserFile \"{folder}/users\"\n");
    let locations = [
        plugins.locations(),
        echo("/limit", "WebSocketMaxMessageSize 100"),
        echo("/origin/off", "WebSocketOriginCheck oFF"),
        echo(
            "/origin/trusted",
            "WebSocketOriginCheck Trusted\n\
             WebSocketTrustedOrigin http://a.example https://b.example:81\n\
             WebSocketTrustedOrigin http://c.example",
        ),
        echo("/reserved", "WebSocketAllowReservedStatusCodes On"),
        echo("/denied", "Require all denied"),
        echo("/members", &format!("{users}Require valid-user")),
        echo("/deflated", "SetOutputFilter DEFLATE"),
        echo("/compressed", "WebSocketCompression On"),
        echo("/compressed/own", "WebSocketCompressionContext Connection"),
        echo("/compressed/off", "WebSocketCompression Off"),
        echo("/compressed/limit", "WebSocketMaxMessageSize 1000"),
        plugins.location(
            "/compressed/crowd",
            "crowd",
            "WebSocketCompressionThreshold 20",
        ),
        plugins.location(
            "/compressed/crowd/own",
            "crowd",
            "WebSocketCompressionContext Connection\nWebSocketCompressionLevel 1",
        ),
        format!(
            "<Location /compressed/rust>\n{}\n</Location>\n",
            plugins.handler_with("rust/echo", "echo_init")
        ),
        echo("/with-headers", "Header always set X-Always yes"),
    ];
    format!(
        "<IfModule mod_websocket.c>\n{}\n</IfModule>\n\
         <IfModule !mod_websocket.c>\nmod_websocket.c_is_not_its_name\n</IfModule>\n\
         <Location /no-plugin>\nSetHandler websocket-handler\n</Location>\n\
         Alias /site \"{folder}\"\n\
         <Directory \"{folder}\">\nRequire all granted\n\
         AllowOverride AuthConfig FileInfo\n</Directory>\n\
         <Directory \"{folder}/denied\">\nAllowOverride FileInfo\n</Directory>\n\
         <Location /site/page.txt>\nSetHandler websocket-handler\n</Location>\n\
         <VirtualHost *:*>\nServerName localhost\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName debug.example\nLogLevel websocket:debug\n</VirtualHost>\n",
        locations.concat()
    )
}
