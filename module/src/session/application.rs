//! What a session needs of the plugin.

use crate::httpd::log::Level;
use crate::protocol::{MessageKind, Payload};

/// What a session hands the client's messages to.
pub trait Application {
    /// Runs callbacks of the connection.
    fn in_callbacks(&self, body: impl FnOnce());

    /// A message has arrived. The payload may be changed in place.
    fn message(&self, kind: MessageKind, payload: &mut Payload<'_>);

    /// The connection has ended: nothing can be sent any more. Called once.
    fn disconnect(&self);

    /// Writes a line about the connection to the error log.
    fn log(&self, level: Level, text: &str);
}
