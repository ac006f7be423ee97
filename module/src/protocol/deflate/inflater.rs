//! Inflates the messages a client sends (RFC 7692, section 7.2.2).

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::TAIL;
use crate::protocol::ProtocolError;
use crate::protocol::message::Assembly;

/// How far back compressed data may refer (RFC 1951, section 2).
const WINDOW: usize = 32 * 1024;

/// As many unused inflaters does a thread keep.
const MAX_SPARE: usize = 2;

thread_local! {
    /// Inflaters without context that no message needs at the moment.
    static SPARE: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}

/// Inflates the messages of one connection.
#[derive(Debug)]
pub(in crate::protocol) struct Inflater {
    keeps_context: bool,
    /// There while a compressed message is under way and, with context, from the first on.
    stream: Option<Decompress>,
    is_under_way: bool,
    /// Nothing of the message, or of the deflate stream that follows one which ended inside of it,
    /// has come.
    is_at_start: bool,
}

impl Inflater {
    /// An inflater for a client that keeps its context from one message to the next, or not.
    pub(in crate::protocol) fn new(keeps_context: bool) -> Self {
        Self {
            keeps_context,
            stream: None,
            is_under_way: false,
            is_at_start: true,
        }
    }

    /// A compressed message begins.
    pub(in crate::protocol) fn begin(&mut self) {
        self.is_under_way = true;
        self.is_at_start = true;
    }

    /// Whether the message that is under way is a compressed one.
    pub(in crate::protocol) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Inflates what has come of the message, `compressed`, to the end of `message`. No more than
    /// `limit` bytes and one of it are ever inflated.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TooBig`], [`ProtocolError::NotDeflate`] or, as soon as it is certain,
    /// [`ProtocolError::TextNotUtf8`]; the one whose cause comes first, however the data is cut.
    pub(in crate::protocol) fn inflate(
        &mut self,
        mut compressed: &[u8],
        message: &mut Assembly,
        limit: u64,
    ) -> Result<(), ProtocolError> {
        if compressed.is_empty() {
            return Ok(());
        }
        let stream = self.stream.get_or_insert_with(spare);
        self.is_at_start = false;
        let max_len = usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_add(1));
        loop {
            let room = message.room_to_inflate(compressed.len(), max_len);
            let room_len = room.len();
            let (result, consumed, produced) = decompress(stream, compressed, room);
            compressed = &compressed[consumed..];
            message.accept(produced)?;
            if message.len() as u64 > limit {
                return Err(ProtocolError::TooBig(limit));
            }
            match result? {
                // The last block of a stream. Another may follow (section 7.2.3.4), and refer to
                // what this one held.
                Status::StreamEnd => {
                    restart(stream, message.payload())?;
                    self.is_at_start = compressed.is_empty();
                }
                _ if produced == room_len => continue,
                _ if compressed.is_empty() => {}
                _ => return Err(ProtocolError::NotDeflate),
            }
            if compressed.is_empty() {
                return Ok(());
            }
        }
    }

    /// Ends the message.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NotDeflate`] if the data broke off.
    pub(in crate::protocol) fn finish(&mut self) -> Result<(), ProtocolError> {
        self.is_under_way = false;
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        // Some compressors make nothing at all of an empty message, or nothing after a last block.
        if !self.is_at_start {
            finish(stream, self.keeps_context)?;
        }
        if !self.keeps_context {
            self.release();
        }
        Ok(())
    }

    /// Gives up a message that is under way, and the context.
    pub(in crate::protocol) fn release(&mut self) {
        self.is_under_way = false;
        if let Some(mut stream) = self.stream.take() {
            stream.reset(false);
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < MAX_SPARE {
                    spare.push(stream);
                }
            });
        }
    }

    #[cfg(test)]
    pub(in crate::protocol) fn has_stream(&self) -> bool {
        self.stream.is_some()
    }
}

fn spare() -> Decompress {
    SPARE
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| Decompress::new(false))
}

/// The outcome, and how many bytes were taken and made: those before an error count too.
fn decompress(
    stream: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> (Result<Status, ProtocolError>, usize, usize) {
    let (total_in, total_out) = (stream.total_in(), stream.total_out());
    let result = stream.decompress(input, output, FlushDecompress::None);
    let since = |total: u64, before: u64| usize::try_from(total - before).unwrap_or(usize::MAX);
    (
        result.map_err(|_| ProtocolError::NotDeflate),
        since(stream.total_in(), total_in),
        since(stream.total_out(), total_out),
    )
}

/// Begins a new stream that may refer to what was `inflated` before.
fn restart(stream: &mut Decompress, inflated: &[u8]) -> Result<(), ProtocolError> {
    let window = &inflated[inflated.len().saturating_sub(WINDOW)..];
    stream.reset(false);
    stream
        .set_dictionary(window)
        .map_err(|_| ProtocolError::NotDeflate)?;
    Ok(())
}

/// Appends what the client left out, and an empty block of our own: only where the data was complete
/// is that one understood as what it is.
fn finish(stream: &mut Decompress, keeps_context: bool) -> Result<(), ProtocolError> {
    let [a, b, c, d] = TAIL;
    // The last block of a stream ends the context, but cannot be mistaken for anything else.
    let last = u8::from(!keeps_context);
    let end = [a, b, c, d, last, a, b, c, d];
    let (status, consumed, produced) = decompress(stream, &end, &mut [0]);
    let is_complete = consumed == end.len() && produced == 0;
    match status? {
        Status::StreamEnd if is_complete => Ok(()),
        _ if is_complete && keeps_context => Ok(()),
        _ => Err(ProtocolError::NotDeflate),
    }
}
