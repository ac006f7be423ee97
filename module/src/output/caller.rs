//! The senders that an output tells apart.

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A callback of the same connection.
    Own,
    /// A callback of another connection.
    Callback,
    /// A thread of the plugin.
    Thread,
}
