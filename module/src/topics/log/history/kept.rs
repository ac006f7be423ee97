//! A message of a history, as it is stored.

use crate::topics::message::Message;

/// A message that is kept.
pub(super) struct Kept<'m> {
    /// When it was published, in milliseconds since 1970.
    pub(super) at: u64,
    /// Its number in the log.
    pub(super) number: u64,
    pub(super) message: Message<'m>,
}

impl<'m> Kept<'m> {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut message = Vec::new();
        self.message.write(&mut message);
        let [at, number] = [self.at, self.number].map(u64::to_ne_bytes);
        [&at[..], &number, &message].concat()
    }

    pub(super) fn read(bytes: &'m [u8]) -> Option<Self> {
        let (&at, rest) = bytes.split_first_chunk()?;
        let (&number, message) = rest.split_first_chunk()?;
        Some(Self {
            at: u64::from_ne_bytes(at),
            number: u64::from_ne_bytes(number),
            message: Message::read(message)?,
        })
    }

    /// The message alone.
    pub(super) fn message(bytes: &[u8]) -> Option<&[u8]> {
        bytes.get(2 * size_of::<u64>()..)
    }
}
