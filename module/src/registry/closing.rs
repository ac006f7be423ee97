//! Tells a client that the server goes away.

use std::sync::Arc;

use websocket_plugin::CloseCode;

use crate::output::Output;
use crate::protocol::{ClosePayload, Closer};

/// How long to wait for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As long as after any other close frame.
    InOrder,
    /// One second, because the process is about to end.
    AtOnce,
}

/// Sends a close frame with `code`, unless one was sent already. Never waits.
pub(super) fn close(output: &Arc<Output>, code: CloseCode, manner: Manner) {
    let closer = if code == CloseCode::SERVICE_RESTART {
        Closer::Drain
    } else {
        Closer::Shutdown
    };
    let payload = ClosePayload::new(code, "");
    match manner {
        Manner::InOrder => output.say_goodbye(closer, &payload),
        Manner::AtOnce => output.go_away(closer, &payload),
    }
}
