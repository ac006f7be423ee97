//! What a session needs of the plugin.

use std::time::Instant;

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

/// The receiver of a client's messages.
pub trait Application {
    /// Runs `body`, which calls the connection's callbacks.
    fn in_callbacks(&self, body: impl FnOnce());

    /// Handles a message of the client. May change the payload in place.
    fn message(&self, kind: MessageKind, payload: &mut Payload<'_>);

    /// Handles a part of a message of the client, in place of `message`, if the connection hands
    /// out parts. `is_last` says that the message ends with it. May change the payload in place.
    fn part(&self, kind: MessageKind, payload: &mut Payload<'_>, is_last: bool);

    /// How many bytes of messages the application keeps that it has been given.
    fn kept(&self) -> usize {
        0
    }

    /// Called when a queue that had refused a message has much room again.
    fn drained(&self);

    /// Handles one event that was posted to the connection and is due. Returns `false` if there is
    /// none.
    fn handle_event(&self, now: Instant) -> bool;

    /// When the next event is due that is to come later.
    fn next_timer(&self) -> Option<Instant>;

    /// Called once, when the connection has ended and nothing can be sent any more.
    fn disconnect(&self, ended: &Ended<'_>);

    /// Called once, after `disconnect`, with a summary of the connection.
    fn ended(&self, account: &Account);

    /// Whether to log each frame, at [`Level::Trace4`].
    fn traces_frames(&self) -> bool;

    /// Called when the connection has ended and has freed much memory.
    fn freed_much(&self);

    /// Writes a line about the connection to the error log.
    fn log(&self, level: Level, text: &str);
}
