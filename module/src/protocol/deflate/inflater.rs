//! Inflates the client's messages (RFC 7692, section 7.2.2).

use std::cell::Cell;
use std::mem;

use flate2::{Decompress, FlushDecompress, Status};

use super::held::Held;
use super::negotiation::{DeflateContext, DeflateParameters, MAX_WINDOW_BITS};
use super::window::{MAX_WINDOW, Window};
use super::{INFLATER_SIZE, TAIL};
use crate::buffers::with_kept;
use crate::protocol::message::{Assembly, PART};
use crate::protocol::{ProtocolError, memory};

/// The number of unused inflaters that a thread keeps.
const MAX_SPARE: usize = 2;

/// Before the end of a message has arrived, at most this many bytes of it are inflated, plus
/// [`AHEAD_RATIO`] times the number of compressed bytes that have arrived. This is enough for most
/// data. The rest of a message that expands more stays compressed until its end. Otherwise a client
/// could make the server hold the longest allowed message for any time, at the price of a
/// thousandth of the bytes.
const AHEAD: usize = 64 * 1024;
const AHEAD_RATIO: usize = 8;

thread_local! {
    /// Inflaters that no message needs at the moment.
    static SPARE: Cell<Vec<Decompress>> = const { Cell::new(Vec::new()) };
}

/// The context for the next message, which may refer to earlier ones.
#[derive(Debug)]
enum Context {
    /// No context: the client does not refer to earlier messages.
    None,
    /// The data that the client may refer to. Connections share inflaters.
    Window(Window),
    /// The inflater itself keeps the context.
    Stream,
}

/// Inflates the messages of one connection.
#[derive(Debug)]
pub(in crate::protocol) struct Inflater {
    context: Context,
    /// Set while a compressed message is in progress. With [`Context::Stream`] it stays set after
    /// the first message.
    stream: Option<Decompress>,
    is_under_way: bool,
    /// Whether no data has arrived since the start of the message, or since a deflate stream ended
    /// inside the message.
    is_at_start: bool,
    /// The number of compressed bytes of the message that have arrived.
    arrived: usize,
    held: Held,
    /// The bytes of whole messages, before and after, since they were asked for.
    inflated: [u64; 2],
    /// If messages are handed out in parts: the end of what was handed out of the message in
    /// progress. It stays empty if `context` has it.
    passed: Option<Window>,
}

impl Inflater {
    /// An inflater for a connection with the negotiated parameters.
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
            inflated: [0, 0],
            passed: None,
        }
    }

    /// Forgets what was handed out in parts. From the first call on, messages are inflated part by
    /// part: not more of a message is inflated than one part, until that is handed out.
    pub(in crate::protocol) fn forget_parts(&mut self) {
        self.passed = Some(Window::new(MAX_WINDOW_BITS));
    }

    /// Notes that this part of the message in progress is handed out.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::NoMemory`].
    pub(in crate::protocol) fn pass(&mut self, part: &[u8]) -> Result<(), ProtocolError> {
        match (&mut self.context, &mut self.passed) {
            (Context::Window(window), _) => window.append(part),
            (_, Some(passed)) => passed.append(part),
            (_, None) => Ok(()),
        }
    }

    /// Whether some of the message in progress has arrived and is not inflated.
    pub(in crate::protocol) fn has_more(&self) -> bool {
        self.held.is_any()
    }

    /// Inflates what has arrived, as far as the next part goes.
    ///
    /// # Errors
    ///
    /// As for [`inflate`](Self::inflate).
    pub(in crate::protocol) fn inflate_more(
        &mut self,
        message: &mut Assembly,
        limit: u64,
    ) -> Result<(), ProtocolError> {
        if self.held.is_any() {
            self.inflate_held(message, limit, PART)?;
        }
        Ok(())
    }

    /// The bytes of the messages that have ended since the last call, before and after.
    pub(in crate::protocol) fn take_inflated(&mut self) -> [u64; 2] {
        mem::take(&mut self.inflated)
    }

    /// The memory that the message in progress takes here, in bytes. The context, which lasts, does
    /// not count.
    pub(in crate::protocol) fn held(&self) -> usize {
        let is_stream_of_message = self.is_under_way && !matches!(self.context, Context::Stream);
        let stream = match self.stream {
            Some(_) if is_stream_of_message => INFLATER_SIZE,
            _ => 0,
        };
        let passed = self.passed.as_ref().map_or(0, Window::capacity);
        self.held.memory() + stream + passed
    }

    /// Begins a compressed message.
    pub(in crate::protocol) fn begin(&mut self) {
        self.is_under_way = true;
        self.is_at_start = true;
        self.arrived = 0;
    }

    /// Whether the message in progress is compressed.
    pub(in crate::protocol) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Takes the next part of the message, `compressed`, and appends as much inflated data to
    /// `message` as is allowed yet. It never inflates more than `limit` bytes, except one that
    /// shows that the limit is exceeded.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TooBig`], [`ProtocolError::NotDeflate`] or [`ProtocolError::TextNotUtf8`]:
    /// the first of them in the order of the data, regardless of how the data is cut into parts. Or
    /// [`ProtocolError::NoMemory`].
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
        let ahead = if self.passed.is_some() {
            PART
        } else {
            self.arrived
                .saturating_mul(AHEAD_RATIO)
                .saturating_add(AHEAD)
        };
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
        let held = mem::take(&mut self.held);
        let consumed = self.advance(held.bytes(), message, limit, ahead)?;
        if let Some(consumed) = consumed {
            self.held = held;
            self.held.consume(consumed);
        }
        Ok(())
    }

    /// Inflates `compressed` until `message` has `ahead` bytes. Returns `None` if all data is
    /// inflated. Otherwise returns the number of bytes taken; the inflater may still hold more
    /// output.
    fn advance(
        &mut self,
        mut compressed: &[u8],
        message: &mut Assembly,
        limit: u64,
        ahead: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        let whole_len = compressed.len();
        let left = limit.saturating_sub(message.passed());
        let max_len = usize::try_from(left).map_or(usize::MAX, |left| left.saturating_add(1));
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
            if message.total() > limit {
                return Err(ProtocolError::TooBig(limit));
            }
            let is_ahead = message.len() >= max_len;
            match result {
                // How far an inflater reads past a full output is an implementation detail. It must
                // not decide when the client gets the error.
                Err(error) if is_ahead => {
                    self.held.set_verdict(error);
                    return Ok(Some(whole_len - compressed.len()));
                }
                Err(error) => return Err(error),
                // The last block of a stream. Another stream may follow in the same message
                // (section 7.2.3.4) and refer to the data before it.
                Ok(Status::StreamEnd) => {
                    restart(stream, &self.context, self.passed.as_ref(), message.bytes())?;
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

    /// Ends the message, and inflates the rest of it.
    ///
    /// # Errors
    ///
    /// As for [`inflate`](Self::inflate). [`ProtocolError::NotDeflate`] also if the data is
    /// incomplete.
    pub(in crate::protocol) fn finish(
        &mut self,
        message: &mut Assembly,
        limit: u64,
    ) -> Result<(), ProtocolError> {
        if self.held.is_any() {
            self.inflate_held(message, limit, usize::MAX)?;
        }
        self.is_under_way = false;
        let more = [self.arrived as u64, message.total()];
        for (sum, more) in self.inflated.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
        if self.passed.is_some() {
            self.forget_parts();
        }
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let keeps_stream = matches!(self.context, Context::Stream);
        // Some compressors output nothing for an empty message, or nothing after a last block.
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

    /// Drops a message in progress, and the context.
    pub(in crate::protocol) fn release(&mut self) {
        self.is_under_way = false;
        if self.passed.is_some() {
            self.forget_parts();
        }
        self.held = Held::default();
        if let Context::Window(window) = &mut self.context {
            window.clear();
        }
        self.recycle();
    }

    fn recycle(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            stream.reset(false);
            with_kept(&SPARE, |spare| {
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

    /// The memory that an idle connection without its own inflater keeps for its context, in bytes.
    #[cfg(test)]
    pub(in crate::protocol) fn window_capacity(&self) -> usize {
        match &self.context {
            Context::Window(window) => window.capacity(),
            Context::None | Context::Stream => 0,
        }
    }
}

/// An inflater for the next message, with the given context.
fn stream_after(context: &Context) -> Result<Decompress, ProtocolError> {
    let mut stream = match with_kept(&SPARE, Vec::pop) {
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

/// Returns the result, and the numbers of bytes taken and produced. The bytes before an error
/// count, too.
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

/// Begins a new stream. It may refer to the parts of the message that were `passed` on or are
/// already `inflated`, and to earlier messages if the context has them.
fn restart(
    stream: &mut Decompress,
    context: &Context,
    passed: Option<&Window>,
    inflated: &[u8],
) -> Result<(), ProtocolError> {
    stream.reset(false);
    if let Context::Window(window) = context {
        refer_to(stream, window.bytes())?;
    }
    if let Some(passed) = passed {
        refer_to(stream, passed.bytes())?;
    }
    refer_to(
        stream,
        &inflated[inflated.len().saturating_sub(MAX_WINDOW)..],
    )
}

/// Lets a new stream refer to these bytes, too.
fn refer_to(stream: &mut Decompress, bytes: &[u8]) -> Result<(), ProtocolError> {
    if !bytes.is_empty() {
        stream
            .set_dictionary(bytes)
            .map_err(|_| ProtocolError::NotDeflate)?;
    }
    Ok(())
}

/// Appends the tail that the client removed, and another empty block. The inflater recognizes the
/// second block only if the data before it was complete.
fn finish(stream: &mut Decompress, keeps_stream: bool) -> Result<(), ProtocolError> {
    let [a, b, c, d] = TAIL;
    // The last block of a stream ends the context, but nothing else can be mistaken for it.
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
