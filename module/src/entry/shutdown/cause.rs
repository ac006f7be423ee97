//! The close code for clients when a child process ends.

use websocket_plugin::CloseCode;

use crate::httpd::generation;

/// The code when the child ends gracefully: 1012 if httpd has been restarted or no longer needs the
/// child, and 1001 if httpd stops.
pub(super) fn code() -> CloseCode {
    if generation::is_stopping() {
        CloseCode::GOING_AWAY
    } else {
        CloseCode::SERVICE_RESTART
    }
}

/// The code when the child has to end at once.
pub(super) fn code_at_once() -> CloseCode {
    if generation::is_restarting() && !generation::is_stopping() {
        CloseCode::SERVICE_RESTART
    } else {
        CloseCode::GOING_AWAY
    }
}
