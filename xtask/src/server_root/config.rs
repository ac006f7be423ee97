//! The contents of `httpd.conf`.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use super::ServerRoot;
use super::account::Account;
use crate::apache::Apache;

/// The media types of the example pages. The system's list may not be installed.
pub(super) const MIME_TYPES: &str = "\
text/html html
text/css css
text/javascript js
text/plain txt
image/svg+xml svg
image/png png
image/x-icon ico
";

/// The modules of httpd that every server root loads.
const BASIC_MODULES: [&str; 7] = [
    "authz_core",
    "dir",
    "log_config",
    "mime",
    "reqtimeout",
    "status",
    "unixd",
];

/// A module that does not come with httpd.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) symbol: String,
    pub(super) library: PathBuf,
}

/// Displays as `httpd.conf`.
pub(super) struct Config<'a> {
    pub(super) apache: &'a Apache,
    pub(super) root: &'a ServerRoot,
    pub(super) account: Option<&'a Account>,
    pub(super) document_root: &'a Path,
}

impl Display for Config<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Written by `cargo xtask`; changes are lost at the next start."
        )?;
        self.server(f)?;
        self.modules(f)?;
        if let Some(sizing) = self.root.sizing {
            writeln!(f, "\n{}", sizing.directives(self.root.mpm))?;
        }
        self.content(f)?;
        if let Some(port) = self.root.tls_port {
            self.tls_host(f, port)?;
        }
        write!(f, "\n{}", self.root.extra)
    }
}

impl Config<'_> {
    fn server(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "ServerRoot {}", quoted(&self.root.dir))?;
        writeln!(f, "ServerName localhost")?;
        // The folder for mutexes and other files of the running server. The system's folder belongs
        // to root.
        writeln!(f, "DefaultRuntimeDir run")?;
        writeln!(f, "PidFile run/httpd.pid")?;
        for port in self.root.ports() {
            self.listen(f, port)?;
        }
        Ok(())
    }

    fn listen(&self, f: &mut Formatter<'_>, port: u16) -> fmt::Result {
        // The protocol is given, because httpd assumes TLS only on port 443.
        let scheme = if Some(port) == self.root.tls_port {
            "https"
        } else {
            "http"
        };
        writeln!(f, "Listen 127.0.0.1:{port} {scheme}")?;
        if self.root.ipv6 {
            writeln!(f, "Listen [::1]:{port} {scheme}")?;
        }
        Ok(())
    }

    fn modules(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let mpm = self.root.mpm.name();
        if !self.apache.has_static(&format!("{mpm}.c")) {
            self.stock_module(f, &format!("mpm_{mpm}"))?;
        }
        let tls = ["socache_shmcb", "ssl"]
            .iter()
            .filter(|_| self.root.tls_port.is_some());
        let extra = self.root.stock_modules.iter().map(String::as_str);
        for name in BASIC_MODULES.iter().chain(tls).copied().chain(extra) {
            self.stock_module(f, name)?;
        }
        for Module { symbol, library } in &self.root.modules {
            writeln!(f, "LoadModule {symbol} {}", quoted(library))?;
        }
        Ok(())
    }

    fn stock_module(&self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        if self.apache.has_static(&format!("mod_{name}.c")) {
            return Ok(());
        }
        writeln!(
            f,
            "LoadModule {name}_module {}",
            quoted(&self.apache.stock_module(name))
        )
    }

    fn content(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(Account { user, group }) = self.account {
            writeln!(f, "User {user}\nGroup {group}\n")?;
        }
        writeln!(f, "ErrorLog logs/error_log")?;
        writeln!(f, "LogLevel info")?;
        writeln!(f, "LogFormat \"%h %t \\\"%r\\\" %>s %b %D\" timed")?;
        writeln!(f, "CustomLog logs/access_log timed\n")?;
        writeln!(f, "TypesConfig conf/mime.types")?;
        writeln!(f, "DocumentRoot {}", quoted(self.document_root))?;
        writeln!(f, "DirectoryIndex index.html")?;
        writeln!(
            f,
            "<Location \"/server-status\">\n    SetHandler server-status\n</Location>"
        )
    }

    fn tls_host(&self, f: &mut Formatter<'_>, port: u16) -> fmt::Result {
        writeln!(f, "\nSSLSessionCache shmcb:run/ssl_sessions(512000)")?;
        writeln!(f, "<VirtualHost *:{port}>")?;
        writeln!(f, "    SSLEngine on")?;
        writeln!(f, "    SSLCertificateFile conf/localhost.crt")?;
        writeln!(f, "    SSLCertificateKeyFile conf/localhost.key")?;
        writeln!(f, "</VirtualHost>")
    }
}

/// `path` as one argument of a directive.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
