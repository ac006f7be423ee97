//! A self-contained server root: a folder with a configuration, logs and run-time files. httpd runs
//! in it without touching the system's own Apache.

mod account;
mod config;
mod mpm;
#[cfg(test)]
mod tests;
mod tls;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use tempfile::TempDir;

use self::account::{Account, ReadableFolder};
pub use self::config::quoted;
use self::config::{Config, Module};
pub use self::mpm::{Mpm, Sizing, TEST_MPMS};
use crate::apache::Apache;
use crate::port;

/// The environment variable that names a library for httpd to load before all others.
pub const TEST_PRELOAD: &str = "WEBSOCKET_TEST_PRELOAD";

/// Builds a server root, and starts httpd in it.
///
/// By default httpd listens only on 127.0.0.1, and loads only the modules that are needed to serve
/// files and write logs.
#[derive(Debug)]
pub struct ServerRoot {
    dir: PathBuf,
    _removed_on_drop: Option<TempDir>,
    readable_pages: Option<ReadableFolder>,
    mpm: Mpm,
    /// `None`: the configuration has the numbers of processes and threads itself.
    sizing: Option<Sizing>,
    port: u16,
    tls_port: Option<u16>,
    ipv6: bool,
    document_root: PathBuf,
    stock_modules: Vec<String>,
    modules: Vec<Module>,
    environment: Vec<(&'static str, OsString)>,
    preloaded: Vec<PathBuf>,
    extra: String,
}

/// The result of `httpd -t`.
#[derive(Debug)]
pub struct ConfigCheck {
    /// Whether httpd would start with this configuration.
    pub ok: bool,
    /// httpd's error message, or "Syntax OK".
    pub message: String,
}

impl ServerRoot {
    /// A server root in `dir`, which is created if it does not exist. httpd listens on a free port.
    ///
    /// # Errors
    /// The folder cannot be created, or no port is free.
    pub fn new(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        Ok(Self {
            document_root: dir.join("htdocs"),
            dir,
            _removed_on_drop: None,
            readable_pages: None,
            mpm: Mpm::Event,
            sizing: Some(Sizing::default()),
            port: port::free_port()?,
            tls_port: None,
            ipv6: false,
            stock_modules: Vec::new(),
            modules: Vec::new(),
            environment: Vec::new(),
            preloaded: Vec::new(),
            extra: String::new(),
        })
    }

    /// A server root in a new folder. Dropping it removes the folder.
    ///
    /// # Errors
    /// As [`ServerRoot::new`].
    pub fn temporary() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("httpd-")
            // The account of httpd's children needs access.
            .permissions(Permissions::from_mode(0o755))
            .tempdir()?;
        let root = Self::new(folder.path())?;
        Ok(Self {
            _removed_on_drop: Some(folder),
            ..root
        })
    }

    /// Sets the multi-processing module. The default is [`Mpm::Event`].
    #[must_use]
    pub fn mpm(self, mpm: Mpm) -> Self {
        Self { mpm, ..self }
    }

    /// Sets the numbers of processes and threads.
    #[must_use]
    pub fn sizing(self, sizing: Sizing) -> Self {
        let sizing = Some(sizing);
        Self { sizing, ..self }
    }

    /// Leaves the numbers of processes and threads to [`ServerRoot::config`], or to httpd.
    #[must_use]
    pub fn without_sizing(self) -> Self {
        let sizing = None;
        Self { sizing, ..self }
    }

    /// Sets the port of plain HTTP.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Also serves TLS, on `port`, with a new self-signed certificate for localhost, 127.0.0.1 and
    /// ::1 ([`ServerRoot::certificate`]).
    #[must_use]
    pub fn tls_port(self, port: u16) -> Self {
        Self {
            tls_port: Some(port),
            ..self
        }
    }

    /// Also listens on the same ports of `::1`.
    #[must_use]
    pub fn ipv6(self) -> Self {
        Self { ipv6: true, ..self }
    }

    /// Sets the folder that is served at `/`. The default is an empty `htdocs`.
    #[must_use]
    pub fn document_root(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            document_root: folder.into(),
            ..self
        }
    }

    /// Loads another one of httpd's own modules, such as `http2` or `headers`.
    #[must_use]
    pub fn stock_module(mut self, name: impl Into<String>) -> Self {
        self.stock_modules.push(name.into());
        self
    }

    /// Loads another module, given its symbol (`websocket_module`) and its library.
    #[must_use]
    pub fn load_module(mut self, symbol: impl Into<String>, library: impl Into<PathBuf>) -> Self {
        self.modules.push(Module {
            symbol: symbol.into(),
            library: library.into(),
        });
        self
    }

    /// Sets an environment variable of httpd.
    #[must_use]
    pub fn environment(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// Makes httpd load a library before all others.
    #[must_use]
    pub fn preload(mut self, library: impl Into<PathBuf>) -> Self {
        self.preloaded.push(library.into());
        self
    }

    /// Appends lines to the server-level configuration. They come last, so they override the
    /// defaults, and apply to the TLS host, too.
    #[must_use]
    pub fn config(mut self, text: impl AsRef<str>) -> Self {
        self.extra.push_str(text.as_ref());
        self.extra.push('\n');
        self
    }

    /// The folder of the server root.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("conf/httpd.conf")
    }

    /// The self-signed certificate (PEM), for clients to trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("conf/localhost.crt")
    }

    /// The private key of the certificate (PEM), which only its owner may read.
    #[must_use]
    pub fn certificate_key(&self) -> PathBuf {
        self.dir.join("conf/localhost.key")
    }

    /// The error log.
    #[must_use]
    pub fn error_log(&self) -> PathBuf {
        self.dir.join("logs/error_log")
    }

    /// The access log.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        self.dir.join("logs/access_log")
    }

    pub(crate) fn replace_config(&mut self, text: &str) {
        text.clone_into(&mut self.extra);
    }

    pub(crate) fn plain_port(&self) -> u16 {
        self.port
    }

    pub(crate) fn port_for_tls(&self) -> Option<u16> {
        self.tls_port
    }

    /// The ports that httpd will listen on: plain HTTP, then TLS if it is enabled.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        [Some(self.port), self.tls_port].into_iter().flatten()
    }

    /// Writes the configuration, the certificate and the empty folders. Removes earlier logs.
    ///
    /// # Errors
    /// Apache is not installed, or a file cannot be written.
    pub fn write(&mut self) -> Result<()> {
        for folder in ["conf", "htdocs", "logs", "run"] {
            fs::create_dir_all(self.dir.join(folder))
                .with_context(|| format!("cannot write to {}", self.dir.display()))?;
        }
        for log in [self.error_log(), self.access_log()] {
            fs::write(log, "")?;
        }
        fs::write(self.dir.join("conf/mime.types"), config::MIME_TYPES)?;
        if self.tls_port.is_some() {
            tls::write_certificate(&self.certificate(), &self.certificate_key())?;
        }
        self.write_config()
    }

    /// Writes only the configuration file, for a reload of a running server.
    ///
    /// # Errors
    /// As [`ServerRoot::write`].
    pub fn write_config(&mut self) -> Result<()> {
        let account = Account::for_children()?;
        if account.is_some() {
            self.readable_pages = ReadableFolder::instead_of(&self.document_root)?;
        }
        let document_root = self
            .readable_pages
            .as_ref()
            .map_or(&*self.document_root, ReadableFolder::path);
        let config = Config {
            apache: Apache::find()?,
            root: self,
            account: account.as_ref(),
            document_root,
        };
        fs::write(self.config_file(), config.to_string())?;
        Ok(())
    }

    /// Runs `httpd -t`, which checks the configuration and loads the modules and the plugins.
    ///
    /// # Errors
    /// The files cannot be written, or httpd cannot be run. A wrong configuration is not an error
    /// here.
    pub fn check_config(&mut self) -> Result<ConfigCheck> {
        self.write()?;
        self.check_with(&["-t"])
    }

    /// Runs httpd with these arguments, which check the configuration.
    pub(crate) fn check_with(&self, arguments: &[&str]) -> Result<ConfigCheck> {
        let Output { status, stderr, .. } = self.command()?.args(arguments).output()?;
        Ok(ConfigCheck {
            ok: status.success(),
            message: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// An httpd command that uses this root.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(&Apache::find()?.httpd);
        command
            .arg("-d")
            .arg(&self.dir)
            .arg("-f")
            .arg(self.config_file())
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let for_tests = env::var_os(TEST_PRELOAD).map(PathBuf::from);
        let preloaded: Vec<_> = for_tests.iter().chain(&self.preloaded).collect();
        if !preloaded.is_empty() {
            command.env("LD_PRELOAD", env::join_paths(preloaded)?);
        }
        Ok(command)
    }
}
