//! What was read of a client before its plugin paused the connection.

use crate::protocol::Input;

/// Bytes that wait until the plugin resumes. They are those of one read at most. There may be none
/// if the receiver holds parts of a message.
#[derive(Debug)]
pub(super) struct Held {
    /// The bytes, and one more (see [`Input`]).
    bytes: Vec<u8>,
    /// How many of them were handled. Moving the rest would be quadratic work for a plugin that
    /// pauses after each message.
    taken: usize,
}

impl Held {
    /// A copy of these bytes.
    ///
    /// # Errors
    ///
    /// When there is no memory for them.
    pub(super) fn copy(bytes: &[u8]) -> std::io::Result<Box<Self>> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len() + Input::BEHIND)?;
        copy.extend_from_slice(bytes);
        copy.resize(bytes.len() + Input::BEHIND, 0);
        Ok(Box::new(Self {
            bytes: copy,
            taken: 0,
        }))
    }

    /// The number of bytes that were not handled.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - Input::BEHIND - self.taken
    }

    /// The memory that is taken, in bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that were not handled.
    pub(super) fn input(&mut self) -> Input<'_> {
        let len = self.len();
        Input::new(&mut self.bytes[self.taken..], len)
    }

    /// Notes how many bytes [`input`](Self::input) has left.
    pub(super) fn leave(&mut self, left: usize) {
        self.taken = self.bytes.len() - Input::BEHIND - left;
    }
}

#[cfg(test)]
mod tests {
    use super::Held;

    #[test]
    fn what_is_left_comes_again() {
        let mut held = Held::copy(b"abcdef").unwrap();
        assert_eq!((held.len(), held.input().rest()), (6, &b"abcdef"[..]));
        held.leave(2);
        assert_eq!((held.len(), held.input().rest()), (2, &b"ef"[..]));
        held.leave(0);
        assert!(held.input().is_empty());
    }
}
