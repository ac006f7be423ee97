//! Inflates the messages a client sends (RFC 7692, section 7.2.2).

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::held::Held;
use super::negotiation::{DeflateContext, DeflateParameters};
use super::window::{MAX_WINDOW, Window};
use super::{INFLATER_SIZE, TAIL};
use crate::protocol::message::Assembly;
use crate::protocol::{ProtocolError, memory};

/// As many unused inflaters does a thread keep.
const MAX_SPARE: usize = 2;

/// Before the end of a message has come, no more of it is inflated than this, and so many times what has
/// come of it (in bytes). That covers most data; the rest of a message that gets still longer waits, as
/// the client sent it. Otherwise a client could have the memory of the longest message, for as long as it
/// likes, for a thousandth of the bytes.
const AHEAD: usize = 64 * 1024;
const AHEAD_RATIO: usize = 8;

thread_local! {
    /// Inflaters that no message needs at the moment.
    static SPARE: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}

/// What is kept for the next message, which may refer to those before it.
#[derive(Debug)]
enum Context {
    /// Nothing: the client does not refer to earlier messages.
    None,
    /// What the client may refer to. Inflaters are shared.
    Window(Window),
    /// The inflater itself.
    Stream,
}

/// Inflates the messages of one connection.
#[derive(Debug)]
pub(in crate::protocol) struct Inflater {
    context: Context,
    /// There while a compressed message is under way and, if it is the context, from the first on.
    stream: Option<Decompress>,
    is_under_way: bool,
    /// Nothing of the message, or of the deflate stream that follows one which ended inside of it,
    /// has come.
    is_at_start: bool,
    /// How much has come of the message.
    arrived: usize,
    held: Held,
}

impl Inflater {
    /// An inflater for a connection whose client may compress as was `agreed` on.
    pub(in crate::protocol) fn new(agreed: &DeflateParameters) -> Self {
        let context = match agreed.context {
            _ if agreed.client_no_context_takeover => Context::None,
            DeflateContext::Shared => Context::Window(Window::new(agreed.client_window_bits())),
            DeflateContext::Connection => Context::Stream,
        };
        Self {
            context,
            stream: None,
            is_under_way: false,
            is_at_start: true,
            arrived: 0,
            held: Held::default(),
        }
    }

    /// A compressed message begins.
    pub(in crate::protocol) fn begin(&mut self) {
        self.is_under_way = true;
        self.is_at_start = true;
        self.arrived = 0;
    }

    /// Whether the message that is under way is a compressed one.
    pub(in crate::protocol) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Takes what has come of the message, `compressed`, and inflates to the end of `message` as much of
    /// it as may be. No more than `limit` bytes and one of it are ever inflated.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TooBig`], [`ProtocolError::NotDeflate`] or [`ProtocolError::TextNotUtf8`], the
    /// one whose cause comes first, however the data is cut; or [`ProtocolError::NoMemory`].
    pub(in crate::protocol) fn inflate(
        &mut self,
        compressed: &[u8],
        message: &mut Assembly,
        limit: u64,
    ) -> Result<(), ProtocolError> {
        if compressed.is_empty() {
            return Ok(());
        }
        self.arrived = self.arrived.saturating_add(compressed.len());
        let ahead = self
            .arrived
            .saturating_mul(AHEAD_RATIO)
            .saturating_add(AHEAD);
        if self.held.is_any() {
            self.held.append(compressed)?;
            return self.inflate_held(message, limit, ahead);
        }
        let consumed = self.advance(compressed, message, limit, ahead)?;
        match consumed {
            Some(consumed) => self.held.append(&compressed[consumed..]),
            None => Ok(()),
        }
    }

    fn inflate_held(
        &mut self,
        message: &mut Assembly,
        limit: u64,
        ahead: usize,
    ) -> Result<(), ProtocolError> {
        let held = std::mem::take(&mut self.held);
        let consumed = self.advance(held.bytes(), message, limit, ahead)?;
        if let Some(consumed) = consumed {
            self.held = held;
            self.held.consume(consumed);
        }
        Ok(())
    }

    /// Inflates `compressed` until `message` has `ahead` bytes. Then tells how much was taken; there may
    /// be more to come even if that is all.
    fn advance(
        &mut self,
        mut compressed: &[u8],
        message: &mut Assembly,
        limit: u64,
        ahead: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        let whole_len = compressed.len();
        let max_len = usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_add(1));
        let max_len = max_len.min(ahead);
        if message.len() >= max_len {
            return Ok(Some(0));
        }
        if let Some(error) = self.held.take_verdict() {
            return Err(error);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(stream_after(&self.context)?),
        };
        self.is_at_start &= compressed.is_empty();
        loop {
            let room = message.room_to_inflate(compressed.len(), max_len)?;
            let room_len = room.len();
            let (result, consumed, produced) = decompress(stream, compressed, room);
            compressed = &compressed[consumed..];
            message.accept(produced)?;
            if message.len() as u64 > limit {
                return Err(ProtocolError::TooBig(limit));
            }
            let is_ahead = message.len() >= max_len;
            match result {
                // How far an inflater looks beyond what there is room for is its own affair, and not
                // to decide when the client is told.
                Err(error) if is_ahead => {
                    self.held.set_verdict(error);
                    return Ok(Some(whole_len - compressed.len()));
                }
                Err(error) => return Err(error),
                // The last block of a stream. Another may follow (section 7.2.3.4), and refer to
                // what came before.
                Ok(Status::StreamEnd) => {
                    restart(stream, &self.context, message.bytes())?;
                    self.is_at_start = compressed.is_empty();
                }
                Ok(_) if is_ahead => {}
                Ok(_) if produced == room_len => continue,
                Ok(_) if compressed.is_empty() => {}
                Ok(_) => return Err(ProtocolError::NotDeflate),
            }
            if is_ahead {
                return Ok(Some(whole_len - compressed.len()));
            }
            if compressed.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Ends the message.
    ///
    /// # Errors
    ///
    /// As for [`inflate`](Self::inflate); [`ProtocolError::NotDeflate`] also if the data broke off.
    pub(in crate::protocol) fn finish(
        &mut self,
        message: &mut Assembly,
        limit: u64,
    ) -> Result<(), ProtocolError> {
        if self.held.is_any() {
            self.inflate_held(message, limit, usize::MAX)?;
        }
        self.is_under_way = false;
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let keeps_stream = matches!(self.context, Context::Stream);
        // Some compressors make nothing at all of an empty message, or nothing after a last block.
        if !self.is_at_start {
            finish(stream, keeps_stream)?;
        }
        if let Context::Window(window) = &mut self.context {
            window.append(message.bytes())?;
        }
        if !keeps_stream {
            self.recycle();
        }
        Ok(())
    }

    /// Gives up a message that is under way, and the context.
    pub(in crate::protocol) fn release(&mut self) {
        self.is_under_way = false;
        self.held = Held::default();
        if let Context::Window(window) = &mut self.context {
            window.clear();
        }
        self.recycle();
    }

    fn recycle(&mut self) {
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

    /// What an idle connection keeps for the next message, in bytes, without an inflater of its own.
    #[cfg(test)]
    pub(in crate::protocol) fn window_capacity(&self) -> usize {
        match &self.context {
            Context::Window(window) => window.capacity(),
            Context::None | Context::Stream => 0,
        }
    }
}

/// An inflater for the next message.
fn stream_after(context: &Context) -> Result<Decompress, ProtocolError> {
    let mut stream = match SPARE.with_borrow_mut(Vec::pop) {
        Some(stream) => stream,
        None => {
            memory::ensure(INFLATER_SIZE)?;
            Decompress::new(false)
        }
    };
    if let Context::Window(window) = context {
        refer_to(&mut stream, window.bytes())?;
    }
    Ok(stream)
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

/// Begins a new stream that may refer to what was `inflated` of the message, and to what came before it
/// where that is kept.
fn restart(
    stream: &mut Decompress,
    context: &Context,
    inflated: &[u8],
) -> Result<(), ProtocolError> {
    stream.reset(false);
    if let Context::Window(window) = context {
        refer_to(stream, window.bytes())?;
    }
    refer_to(
        stream,
        &inflated[inflated.len().saturating_sub(MAX_WINDOW)..],
    )
}

/// Lets a stream that begins refer to these bytes too.
fn refer_to(stream: &mut Decompress, bytes: &[u8]) -> Result<(), ProtocolError> {
    if !bytes.is_empty() {
        stream
            .set_dictionary(bytes)
            .map_err(|_| ProtocolError::NotDeflate)?;
    }
    Ok(())
}

/// Appends what the client left out, and an empty block of our own: only where the data was complete
/// is that one understood as what it is.
fn finish(stream: &mut Decompress, keeps_stream: bool) -> Result<(), ProtocolError> {
    let [a, b, c, d] = TAIL;
    // The last block of a stream ends the context, but cannot be mistaken for anything else.
    let last = u8::from(!keeps_stream);
    let end = [a, b, c, d, last, a, b, c, d];
    let (status, consumed, produced) = decompress(stream, &end, &mut [0]);
    let is_complete = consumed == end.len() && produced == 0;
    match status? {
        Status::StreamEnd if is_complete => Ok(()),
        _ if is_complete && keeps_stream => Ok(()),
        _ => Err(ProtocolError::NotDeflate),
    }
}
