//! The lines that a soak leaves in the error log.

use xtask::soak::Explained;

macro_rules! explained {
    ($($reason:literal => [$($text:literal),*]),* $(,)?) => {
        &[$(Explained { texts: &[$($text),*], reason: $reason }),*]
    };
}

/// Every other line is a fault.
pub(super) const EXPLAINED: &[Explained] = explained! {
    "httpd has started, or restarted" => [":notice]", "resuming normal operations"],
    "httpd has started, or restarted: its command" => [":notice]", "AH00094: Command line"],
    "this machine's mod_ssl is older than its library"
        => ["[ssl:warn]", "AH01882: Init: this version of mod_ssl was compiled against"],
    "HTTP/2 is served" => ["[websocket:warn]", "H2WebSockets is on: "],
    "httpd was told to restart" => [":notice]", "Doing graceful restart"],
    "a client has closed its connection"
        => ["[websocket:info]", "has ended: closed by the client with code 1000;"],
    "a client that comes and goes has gone before the handshake was answered"
        => ["[websocket:info]", "the client is gone: "],
    "the plugin of detached connections tells of each end" => ["[websocket:info]", "[Hermit] gone"],
    "a client that comes and goes has gone without a close frame"
        => ["[websocket:info]", "has ended: lost with code 1006;", "<Location \"/echo\">"],
    "a client that answers no pings is told so"
        => ["[websocket:info]", "closing with 1011: "],
    "a client that answers no pings was closed"
        => ["[websocket:info]", "(timeout) with code 1011", "<Location \"/mute\">"],
    "httpd was told to restart (prefork)" => [":notice]", "AH00171: Graceful restart requested"],
    "a process is being replaced"
        => ["[websocket:info]", "this process is ending; its", "stay open for now"],
    "a process was replaced, and its WebSockets with it"
        => ["[websocket:info]", "(drain) with code 1012", "<Location \"/brief\">"],
};
