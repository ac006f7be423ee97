//! Logs and counts refused handshakes.

use super::config::Config;
use crate::httpd::log::Level;
use crate::httpd::request::Request;
use crate::httpd::scoreboard;

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The handshake is not valid.
    Handshake,
    /// The configuration is wrong.
    Configuration,
    /// The origin may not connect.
    Origin,
    /// The plugin refuses the handshake.
    Plugin,
    /// The plugin cannot be asked.
    Failure,
    /// The process or the system lacks a resource.
    Resources,
    /// The limit of WebSockets over HTTP/2 is reached.
    Http2,
    /// The rest of httpd's connections or threads is kept for other requests.
    Reserve,
    /// The server or virtual host has as many WebSockets as it may have.
    Connections,
    /// The client has as many WebSockets as it may have.
    Client,
    /// The client sends handshakes too often.
    HandshakeRate,
}

impl Cause {
    /// All causes, in the order of their numbers (`cause as usize`).
    pub(super) const ALL: [Self; 11] = [
        Self::Handshake,
        Self::Configuration,
        Self::Origin,
        Self::Plugin,
        Self::Failure,
        Self::Resources,
        Self::Http2,
        Self::Reserve,
        Self::Connections,
        Self::Client,
        Self::HandshakeRate,
    ];

    /// The word for the cause in logs.
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

/// Counts and logs a refused handshake: the cause, the details in `text`, the section, and the
/// plugin that refused it or was to be asked.
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
    let plugin = config
        .plugin()
        .map_or("none", |plugin| &plugin.source().label);
    if let Some(account) = scoreboard::account(&config.place(), plugin) {
        account.refuse(cause as usize);
    }
}

/// The section and the plugin, as text, if there are any.
pub(super) fn place(config: &Config) -> String {
    let section = config.section().map(|section| format!("; {section}"));
    let plugin = config
        .plugin()
        .map(|plugin| format!(", plugin {}", plugin.source().name));
    section.into_iter().chain(plugin).collect()
}

#[cfg(test)]
mod tests {
    use super::Cause;
    use crate::httpd::scoreboard::CAUSES;

    #[test]
    fn each_cause_has_a_number_that_is_counted() {
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, number);
        }
        assert!(Cause::ALL.len() <= CAUSES);
    }
}
