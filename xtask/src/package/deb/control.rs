//! What a package of Debian says of itself.

use std::fmt::Write as _;

use super::super::release::Release;

/// A package.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) architecture: String,
    section: &'static str,
    /// Fields that name other packages.
    relations: Vec<(&'static str, String)>,
    /// Where lintian is mistaken, and why.
    pub(crate) lintian_overrides: Option<&'static str>,
    summary: &'static str,
    /// Lines of at most 79 characters.
    description: &'static str,
}

impl Package {
    /// The package with the module, which needs the packages `needs`.
    pub(crate) fn of_module(architecture: String, needs: String) -> Self {
        Self {
            name: "libapache2-mod-websocket",
            architecture,
            section: "httpd",
            relations: vec![
                ("Depends", needs),
                ("Recommends", "apache2 (>= 2.4.6-4~)".to_owned()),
                ("Suggests", "libapache2-mod-websocket-dev".to_owned()),
            ],
            lintian_overrides: Some(include_str!("../../../package/deb/lintian-overrides")),
            summary: "WebSocket module for the Apache HTTP Server",
            description: "\
This module makes Apache a WebSocket server (RFC 6455). A plugin, which is a
shared library in Rust or C, contains the application. The module does the
rest: handshakes, frames, limits, topics across processes and hosts, and TLS
through mod_ssl. On the event MPM, WebSockets hold no thread.

Plugins that were compiled for the C module of the same name work unchanged.
The package contains plugins for topics, chat rooms and an echo, among others.",
        }
    }

    /// The package for authors of plugins.
    pub(crate) fn of_development() -> Self {
        Self {
            name: "libapache2-mod-websocket-dev",
            architecture: "all".to_owned(),
            section: "httpd",
            relations: vec![
                (
                    "Recommends",
                    "apache2-dev, libapache2-mod-websocket".to_owned(),
                ),
                ("Suggests", "pkg-config".to_owned()),
            ],
            lintian_overrides: None,
            summary: "WebSocket module for the Apache HTTP Server - development files",
            description: "\
This package has what authors of plugins need: the C header with its file for
pkg-config, the sources of the crates for plugins in Rust, and plugins to start
from.

The crates need Rust 1.95 or later, which rustup installs.",
        }
    }

    /// The file `control`, for files of `size` KiB.
    pub(crate) fn control(&self, release: &Release, size: u64) -> String {
        let mut text = format!(
            "Package: {}\nSource: mod-websocket\nVersion: {}\nSection: {}\nPriority: optional\n\
             Architecture: {}\nMaintainer: {}\nInstalled-Size: {size}\n",
            self.name,
            release.with_revision(),
            self.section,
            self.architecture,
            release.maintainer
        );
        for (name, value) in &self.relations {
            let _ = writeln!(text, "{name}: {value}");
        }
        let _ = writeln!(text, "Description: {}", self.summary);
        for line in self.description.lines() {
            let _ = match line {
                "" => writeln!(text, " ."),
                line => writeln!(text, " {line}"),
            };
        }
        text
    }
}
