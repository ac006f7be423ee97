//! How the client of a connection is told that the server goes away.

use std::sync::Arc;

use websocket_plugin::CloseCode;

use crate::output::Output;
use crate::protocol::{ClosePayload, Closer};

/// How long the client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// For as long as after any other close frame.
    InOrder,
    /// For a second, as the process is to end.
    AtOnce,
}

/// Sends a close frame with `code`, unless there has been one. Never waits.
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
