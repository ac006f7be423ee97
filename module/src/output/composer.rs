//! The message of a connection that a sender writes piece by piece.

use crate::compression::Pieces;
use crate::protocol::Opcode;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The message of a connection that is being written.
#[derive(Default)]
pub(super) struct Composer(Mutex<State>);

#[derive(Default)]
pub(super) enum State {
    /// There is none.
    #[default]
    None,
    /// A thread is adding to it. No lock is held meanwhile, because that may wait for the client.
    Taken,
    Open(Box<Message>),
}

/// A message that has begun and not ended.
pub(super) struct Message {
    pub(super) opcode: Opcode,
    /// A fragment was sent.
    pub(super) is_begun: bool,
    /// The payload of the next fragment.
    pub(super) bytes: Vec<u8>,
    /// Set if the message is compressed.
    pub(super) pieces: Option<Pieces>,
    /// Bytes of the message that are not counted as sent yet.
    pub(super) uncounted: u64,
    /// The bytes of the message, and of all fragments.
    pub(super) total: [usize; 2],
}

impl Composer {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees what was collected. Nothing can be sent any more.
    pub(super) fn clear(&self) {
        *self.lock() = State::None;
    }
}
