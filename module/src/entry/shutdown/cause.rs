//! What clients are told when a child ends.

use websocket_plugin::CloseCode;

use crate::httpd::generation;

/// What tells clients why a child ends gracefully: httpd has been restarted or has no more use for
/// the child, or it stops.
pub(super) fn code() -> CloseCode {
    if generation::is_stopping() {
        CloseCode::GOING_AWAY
    } else {
        CloseCode::SERVICE_RESTART
    }
}

/// The same, of a child that is told to end at once.
pub(super) fn code_at_once() -> CloseCode {
    if generation::is_restarting() && !generation::is_stopping() {
        CloseCode::SERVICE_RESTART
    } else {
        CloseCode::GOING_AWAY
    }
}
