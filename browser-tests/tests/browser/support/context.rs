//! The demo, served by a real httpd over one of the transports for WebSockets.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use xtask::demo::{self, Demo as Endpoint};
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::ServerRoot;
use xtask::workspace::{Library, Workspace};

use super::Page;
use super::browsers::Browsers;

/// The transport of the pages and their WebSockets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP/1.1.
    Ws,
    /// HTTP/1.1 and TLS.
    Wss,
    /// HTTP/2 and TLS: WebSockets are streams of a connection (RFC 8441).
    H2,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Ws, Self::Wss, Self::H2];

    /// The scheme of a page.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Ws => "http",
            Self::Wss | Self::H2 => "https",
        }
    }

    /// The ALPN name of the protocol, as browsers report it (RFC 7301).
    fn protocol(self) -> &'static str {
        match self {
            Self::Ws | Self::Wss => "http/1.1",
            Self::H2 => "h2",
        }
    }

    fn set_up(self, root: ServerRoot) -> Result<ServerRoot> {
        Ok(match self {
            Self::Ws => root,
            Self::Wss => root.tls_port(port::free_port()?),
            Self::H2 => root
                .tls_port(port::free_port()?)
                .stock_module("http2")
                .config("Protocols h2 http/1.1\nH2WebSockets on\nWebSocketH2MaxStreams 3"),
        })
    }
}

impl Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::H2 => "h2",
        })
    }
}

/// The files that `cargo xtask run` serves.
pub(crate) struct Demo {
    workspace: Workspace,
    libraries: Vec<Library>,
    endpoints: Vec<Endpoint>,
    _c_plugins: TempDir,
}

impl Demo {
    pub(crate) fn compile() -> Result<Self> {
        let workspace = Workspace::find()?;
        let c_plugins = tempfile::Builder::new().prefix("demo-plugins-").tempdir()?;
        let mut libraries = workspace.built_libraries()?;
        libraries.extend(workspace.compile_c_plugins(c_plugins.path())?);
        Ok(Self {
            endpoints: demo::demos(&libraries)?,
            workspace,
            libraries,
            _c_plugins: c_plugins,
        })
    }
}

/// The environment of a case.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) transport: Transport,
    browsers: Arc<Browsers>,
    demo: Arc<Demo>,
    shared: Arc<Mutex<Option<Arc<Httpd>>>>,
}

impl Context {
    pub(crate) fn new(transport: Transport, browsers: Arc<Browsers>, demo: Arc<Demo>) -> Self {
        Self {
            transport,
            browsers,
            demo,
            shared: Arc::default(),
        }
    }

    /// Opens a page of the demo in a browser that no other case uses.
    pub(crate) fn open(&self, page: &str) -> Result<Page> {
        self.open_on(&*self.httpd()?, page)
    }

    /// Like [`Context::open`], with a page of another server.
    pub(crate) fn open_on(&self, httpd: &Httpd, page: &str) -> Result<Page> {
        let browser = Page::new(Arc::clone(&self.browsers))?;
        browser.goto(&format!("{}/{page}", self.origin(httpd)))?;
        browser.expect(
            "return performance.getEntriesByType('navigation')[0].nextHopProtocol",
            &json!([]),
            &json!(self.transport.protocol()),
        )?;
        Ok(browser)
    }

    /// Opens a page of a server in a browser that runs no scripts of pages.
    pub(crate) fn open_without_scripts(&self, httpd: &Httpd, page: &str) -> Result<Page> {
        let browser = Page::new(Arc::clone(&self.browsers))?;
        browser.disable_scripts()?;
        browser.goto(&format!("{}/{page}", self.origin(httpd)))?;
        Ok(browser)
    }

    /// The origin of the demo's pages.
    pub(crate) fn origin(&self, httpd: &Httpd) -> String {
        let (scheme, port) = (self.transport.scheme(), self.port(httpd));
        format!("{scheme}://localhost:{port}")
    }

    pub(crate) fn port(&self, httpd: &Httpd) -> u16 {
        httpd.tls_address().unwrap_or(httpd.address()).port()
    }

    /// The server that the cases share. The first call starts it.
    pub(crate) fn httpd(&self) -> Result<Arc<Httpd>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_none() {
            *shared = Some(Arc::new(self.start("")?));
        }
        Ok(Arc::clone(shared.as_ref().expect("just set")))
    }

    /// Starts a server for one case, with additional configuration.
    pub(crate) fn start(&self, config: &str) -> Result<Httpd> {
        let Demo {
            workspace,
            libraries,
            endpoints,
            ..
        } = &*self.demo;
        let root = self.transport.set_up(ServerRoot::temporary()?)?;
        let root = demo::served_by(root, workspace, libraries, endpoints)?;
        root.config(config).start()
    }

    /// The names of all pages.
    pub(crate) fn pages(&self) -> Result<Vec<String>> {
        let folder = self.demo.workspace.root().join(demo::PAGES);
        let mut pages = Vec::new();
        for entry in folder
            .read_dir()
            .with_context(|| format!("no {}", folder.display()))?
        {
            let name = entry?.file_name().to_string_lossy().into_owned();
            pages.extend(name.strip_suffix(".html").map(str::to_owned));
        }
        ensure!(!pages.is_empty(), "no pages in {}", folder.display());
        Ok(pages)
    }

    /// The folder for what is built or downloaded.
    pub(crate) fn target_dir(&self) -> &Path {
        self.demo.workspace.target_dir()
    }

    /// The folder for the screenshots.
    pub(crate) fn screenshots(&self) -> PathBuf {
        let folder = self.target_dir().join("browser");
        folder.join(self.transport.to_string())
    }

    /// Ends the shared server and checks its error log.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(httpd) = shared.take() else {
            return Ok(());
        };
        let log = httpd.error_log()?;
        let bad = ["exit signal", "panic"];
        let mut lines = log.lines();
        let line = lines.find(|line| bad.iter().any(|word| line.contains(word)));
        ensure!(line.is_none(), "the error log has {line:?}");
        Ok(())
    }
}
