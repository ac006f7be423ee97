//! What a session needs of the plugin.

use crate::httpd::log::Level;
use crate::protocol::{Account, Closing, MessageKind, Payload};

/// How a connection has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Who closed it, and with which close frame.
    pub closing: &'a Closing,
    /// Both sides have sent a close frame.
    pub is_clean: bool,
}

/// What a session hands the client's messages to.
pub trait Application {
    /// Runs callbacks of the connection.
    fn in_callbacks(&self, body: impl FnOnce());

    /// A message has arrived. The payload may be changed in place.
    fn message(&self, kind: MessageKind, payload: &mut Payload<'_>);

    /// The connection has ended: nothing can be sent any more. Called once.
    fn disconnect(&self, ended: &Ended<'_>);

    /// The connection has ended like this. Called once, after `disconnect`.
    fn ended(&self, account: &Account);

    /// Whether each frame is to be logged, with [`Level::Trace4`].
    fn traces_frames(&self) -> bool;

    /// The connection has ended and freed much memory.
    fn freed_much(&self);

    /// Writes a line about the connection to the error log.
    fn log(&self, level: Level, text: &str);
}
