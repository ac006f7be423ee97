//! Messages of a test client that the plugin has not got yet.

use crate::{MessageKind, Part};
use std::collections::VecDeque;
use std::mem;

/// A message, or a part of one. A plugin may write to the payload, so it is a copy.
pub(super) struct Waiting {
    pub(super) kind: MessageKind,
    pub(super) payload: Vec<u8>,
    pub(super) is_last: bool,
}

/// What a client has sent, in order.
#[derive(Default)]
pub(super) struct Unread {
    queue: VecDeque<Waiting>,
    /// The type of a message that has begun and not ended.
    kind: Option<MessageKind>,
    /// The beginning of a message for a plugin that gets messages whole.
    beginning: Vec<u8>,
}

impl Unread {
    /// Adds a part of a message: for the plugin at once if it gets messages `in_parts`, else when
    /// the message is complete.
    pub(super) fn push(&mut self, part: Part<'_>, in_parts: bool) {
        let Part {
            kind,
            bytes,
            is_last,
        } = part;
        assert!(
            self.kind.is_none_or(|begun| begun == kind),
            "all parts of a message are of the same kind"
        );
        assert!(
            kind == MessageKind::Binary || part.as_text().is_some(),
            "a part of a text is UTF-8"
        );
        self.kind = (!is_last).then_some(kind);
        self.beginning.extend_from_slice(bytes);
        if in_parts || is_last {
            self.queue.push_back(Waiting {
                kind,
                payload: mem::take(&mut self.beginning),
                is_last,
            });
        }
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_in_message(&self) -> bool {
        self.kind.is_some()
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.queue.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}
