//! What the error log says of a refused handshake.

use super::config::Config;
use crate::httpd::log::Level;
use crate::httpd::request::Request;

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It is not a good one.
    Handshake,
    /// The configuration is at fault.
    Configuration,
    /// Its origin may not connect.
    Origin,
    /// The plugin refuses it.
    Plugin,
    /// The plugin cannot be asked.
    Failure,
    /// The process or the system has too little of something.
    Resources,
    /// There are as many WebSockets over HTTP/2 as there may be.
    Http2,
    /// What is left of httpd's connections or threads is for other requests.
    Reserve,
    /// The server or virtual host has as many WebSockets as it may have.
    Connections,
    /// The client has as many as it may have.
    Client,
    /// The client asks too often.
    HandshakeRate,
}

impl Cause {
    /// The word for it in logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Configuration => "configuration",
            Self::Origin => "origin",
            Self::Plugin => "plugin",
            Self::Failure => "failure",
            Self::Resources => "resources",
            Self::Http2 => "http2",
            Self::Reserve => "reserve",
            Self::Connections => "connections",
            Self::Client => "client",
            Self::HandshakeRate => "rate",
        }
    }
}

/// Logs that a handshake is refused: why, with details in `text`, where, and by or for which plugin.
pub(super) fn log_refusal(
    request: &Request,
    config: &Config,
    level: Level,
    cause: Cause,
    text: &str,
) {
    let place = place(config);
    let text = format!("the handshake is refused ({}): {text}{place}", cause.word());
    request.log(level, &text);
}

/// The section and the plugin, if there is one.
pub(super) fn place(config: &Config) -> String {
    let section = config.section().map(|section| format!("; {section}"));
    let plugin = config
        .plugin()
        .map(|plugin| format!(", plugin {}", plugin.source().name));
    section.into_iter().chain(plugin).collect()
}
