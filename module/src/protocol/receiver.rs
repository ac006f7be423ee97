//! Turns the client's bytes into messages and control frames (RFC 6455, section 6.2).

use std::ops::Range;

use super::close::CloseFrame;
use super::deflate::Inflater;
use super::message::{Assembly, PART};
use super::{
    DeflateParameters, Input, Limits, MaskingKey, MessageKind, Opcode, Payload, ProtocolError, Rsv,
};
use header::{Header, Rules, Start, WholeMessage};
use partial::{ControlPayload, PartialHeader};

pub use event::Event;

mod event;
mod header;
mod partial;
mod parts;
#[cfg(test)]
mod tests;

/// If at least this many bytes of a frame are missing, they are read directly into the message. For
/// fewer bytes, one read of everything that has arrived saves more than a copy costs.
const MIN_DIRECT_READ: usize = 16 * 1024;

/// The receiving half of a connection.
///
/// ```text
///          +-------- control frame or fragment complete -------+
///          v                                                   |
///       Header -- frame not wholly in the input --> Payload ---+
///          |                                           |
///          +-- close frame, error --> Done <-----------+
/// ```
///
/// A message in one frame that is completely in the input never leaves `Header`; its payload is
/// lent from the input without a copy. Headers are checked byte by byte as they arrive
/// (`header.rs`).
#[derive(Debug)]
pub struct Receiver {
    limits: Limits,
    state: State,
    header: PartialHeader,
    control: ControlPayload,
    message: Assembly,
    /// Changes when something arrives of what is unfinished.
    progress: u32,
    /// Set if compression was negotiated.
    inflater: Option<Box<Inflater>>,
    /// Messages are handed out in parts.
    in_parts: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The next bytes belong to a header.
    Header,
    /// The next bytes belong to this frame's payload.
    Payload(Frame),
    /// An error was found that [`Receiver::receive`] has not returned yet.
    Failed(ProtocolError),
    /// All further bytes are ignored.
    Done,
}

/// A frame whose payload is arriving.
#[derive(Clone, Copy, Debug)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    key: MaskingKey,
    is_compressed: bool,
    received: usize,
    missing: usize,
}

impl Frame {
    fn after(self, n: usize) -> Self {
        Self {
            received: self.received + n,
            missing: self.missing - n,
            ..self
        }
    }
}

/// A complete [`Event`], and where its payload is.
enum Ready {
    /// In the receiver.
    Message(MessageKind),
    /// In the receiver, a part of a message that goes on.
    Part(MessageKind),
    /// In the input.
    WholeControl(Opcode, Range<usize>),
    /// In the receiver.
    Control(Opcode),
}

impl Receiver {
    /// A receiver for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_deflate(limits, None)
    }

    /// A receiver for a new connection, with compression if it was negotiated.
    #[must_use]
    pub fn with_deflate(limits: Limits, deflate: Option<DeflateParameters>) -> Self {
        Self {
            limits,
            state: State::Header,
            header: PartialHeader::default(),
            control: ControlPayload::default(),
            message: Assembly::default(),
            progress: 0,
            inflater: deflate.map(|agreed| Box::new(Inflater::new(&agreed))),
            in_parts: false,
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next event. Returns `None` after
    /// taking all bytes: either more are needed, or, after an error or a close frame, no more are
    /// wanted.
    ///
    /// # Errors
    ///
    /// The rule or limit that the client violated. After that, the receiver ignores all input.
    #[inline]
    pub fn receive<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if let Some(message) = self.find_whole_message(input) {
            return match lend(message, input) {
                Ok(payload) => Ok(Some(Event::Message {
                    kind: message.kind,
                    payload,
                })),
                Err(error) => {
                    self.stop();
                    Err(error)
                }
            };
        }
        let ready = if self.in_parts {
            self.advance_to_part(input)
        } else {
            self.advance(input)
        };
        self.conclude(ready, Some(input))
    }

    /// The fast path that most messages take. It returns a message in one frame that is
    /// uncompressed and completely in the input, without a copy. For everything else, including
    /// errors, it returns `None`; then call [`receive`](Self::receive), which tries the same first.
    /// A direct call saves making an [`Event`].
    // `always`, because a call costs one in twelve of the instructions of a short message, and
    // otherwise unrelated code would decide whether the compiler inlines it.
    #[inline(always)]
    pub fn whole_message<'a>(
        &mut self,
        input: &'a mut Input<'_>,
    ) -> Option<(MessageKind, Payload<'a>)> {
        let message = self.find_whole_message(input)?;
        match lend(message, input) {
            Ok(payload) => Some((message.kind, payload)),
            Err(error) => {
                self.state = State::Failed(error);
                None
            }
        }
    }

    #[inline(always)]
    fn find_whole_message(&self, input: &Input<'_>) -> Option<WholeMessage> {
        if !matches!(self.state, State::Header) || !self.header.is_empty() {
            return None;
        }
        self.rules().read_whole_message(input.rest())
    }

    /// A buffer for the next bytes from the client, while the payload of a large frame arrives.
    /// Bytes in it need no copy through an input. It is never empty and never extends beyond the
    /// frame.
    ///
    /// `None` also if there is no memory; [`receive`](Self::receive) then returns the error.
    #[must_use]
    pub fn spare(&mut self) -> Option<&mut [u8]> {
        let frame = self.directly_read_frame()?;
        self.message.take_back();
        let wanted = frame.missing.min(self.room_for_part());
        if let Err(error) = self.message.make_room(wanted) {
            self.message = Assembly::default();
            self.state = State::Failed(error);
            return None;
        }
        Some(self.message.room(wanted))
    }

    /// Accepts `n` bytes that were written to the front of [`spare`](Self::spare).
    ///
    /// # Errors
    ///
    /// As for [`receive`](Self::receive).
    ///
    /// # Panics
    ///
    /// If `n` is more than the length of that buffer.
    pub fn filled(&mut self, n: usize) -> Result<Option<Event<'_>>, ProtocolError> {
        let ready = self.take_filled(n).map(|ready| self.or_part(ready));
        self.conclude(ready, None)
    }

    /// The bytes of the compressed messages that have ended since the last call, before and after
    /// they were inflated.
    pub fn take_inflated(&mut self) -> [u64; 2] {
        self.inflater
            .as_mut()
            .map_or([0, 0], |inflater| inflater.take_inflated())
    }

    /// Frees buffers that contain nothing. Call it when the connection becomes idle. A busy
    /// connection benefits from the buffer of its last message.
    pub fn release(&mut self) {
        self.message.take_back();
        self.message.release();
    }

    /// If a frame or message has begun and not ended: a number that changes when more of it
    /// arrives. Frames without payload, and control frames inside a message, are no progress.
    #[must_use]
    pub fn unfinished(&self) -> Option<u32> {
        let is_between = match self.state {
            State::Header => self.header.is_empty() && !self.message.is_under_way(),
            State::Payload(_) => false,
            State::Failed(_) | State::Done => true,
        };
        (!is_between).then_some(self.progress)
    }

    /// The memory that an unfinished message takes, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        let inflater = self.inflater.as_deref().map_or(0, Inflater::held);
        self.message.held() + inflater
    }

    /// Ignores all further bytes, and frees what has arrived of a message.
    pub fn give_up(&mut self) {
        self.stop();
    }

    /// Something of an unfinished frame or message has arrived. Control frames count only outside
    /// of messages.
    fn note_progress(&mut self, is_control: bool) {
        if !is_control || !self.message.is_under_way() {
            self.progress = self.progress.wrapping_add(1);
        }
    }

    /// The rules for the next header.
    #[inline(always)]
    fn rules(&self) -> Rules<'_> {
        Rules {
            limits: &self.limits,
            message: &self.message,
            inflater: self.inflater.as_deref(),
        }
    }

    /// After an error, ends the input of the connection. Otherwise lends the event that is ready.
    #[inline]
    fn conclude<'a>(
        &'a mut self,
        ready: Result<Option<Ready>, ProtocolError>,
        input: Option<&'a mut Input<'_>>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        match ready {
            Ok(Some(ready)) => self.event(ready, input).map(Some),
            Ok(None) => Ok(None),
            Err(error) => {
                self.stop();
                Err(error)
            }
        }
    }

    #[inline]
    fn event<'a>(
        &'a mut self,
        ready: Ready,
        input: Option<&'a mut Input<'_>>,
    ) -> Result<Event<'a>, ProtocolError> {
        let allow_reserved = self.limits.allow_reserved_status_codes;
        match (ready, input) {
            (Ready::WholeControl(opcode, place), Some(input)) => {
                Event::of_control(opcode, input.bytes(place), allow_reserved)
            }
            (Ready::Message(kind), _) if self.message.passed() > 0 => Ok(Event::Part {
                kind,
                payload: self.message.payload(),
                is_first: false,
                is_last: true,
            }),
            (Ready::Message(kind), _) => Ok(Event::Message {
                kind,
                payload: self.message.payload(),
            }),
            (Ready::Part(kind), _) => self.lend_part(kind),
            (Ready::Control(opcode) | Ready::WholeControl(opcode, _), _) => {
                Event::of_control(opcode, self.control.bytes(), allow_reserved)
            }
        }
    }

    /// Processes `input` step by step until an event is ready.
    fn advance(&mut self, input: &mut Input<'_>) -> Result<Option<Ready>, ProtocolError> {
        loop {
            if self.in_parts
                && let Some(part) = self.full_part()?
            {
                return Ok(Some(part));
            }
            let ready = match self.state {
                State::Header => {
                    let rules = Rules {
                        limits: &self.limits,
                        message: &self.message,
                        inflater: self.inflater.as_deref(),
                    };
                    let is_any = !input.is_empty();
                    let Some(header) = self.header.take(input, rules)? else {
                        if is_any {
                            self.note_progress(true);
                        }
                        return Ok(None);
                    };
                    self.begin_frame(header, input)?
                }
                State::Payload(frame) if frame.missing == 0 => self.end_frame(frame)?,
                State::Payload(_) if input.is_empty() => return Ok(None),
                State::Payload(frame) => {
                    self.take_payload(frame, input)?;
                    None
                }
                State::Failed(error) => return Err(error),
                State::Done => {
                    input.take_all();
                    return Ok(None);
                }
            };
            if ready.is_some() {
                return Ok(ready);
            }
        }
    }

    /// Begins a frame. A control frame that is completely in the input is ready at once.
    fn begin_frame(
        &mut self,
        header: Header,
        input: &mut Input<'_>,
    ) -> Result<Option<Ready>, ProtocolError> {
        let Header {
            start: Start { fin, rsv, opcode },
            key,
            payload_len,
        } = header;
        if opcode.is_control() {
            if let Some(place) = input.take(payload_len) {
                key.apply(input.bytes(place.clone()), 0);
                self.stop_after(opcode);
                return Ok(Some(Ready::WholeControl(opcode, place)));
            }
            self.control.clear();
            self.note_progress(true);
        } else if opcode == Opcode::Continuation {
            self.message.go_on();
        } else if let Some(kind) = MessageKind::begun_by(opcode) {
            self.note_progress(false);
            self.message.begin(kind);
            if let Some(inflater) = self.inflater.as_mut().filter(|_| rsv != Rsv::NONE) {
                inflater.begin();
            }
        }
        self.state = State::Payload(Frame {
            fin,
            opcode,
            key,
            is_compressed: !opcode.is_control() && self.rules().inflates(),
            received: 0,
            missing: payload_len,
        });
        Ok(None)
    }

    /// Takes the available part of a frame's payload.
    fn take_payload(&mut self, frame: Frame, input: &mut Input<'_>) -> Result<(), ProtocolError> {
        // The inflater stops by itself where a part is full, and keeps the rest.
        let most = if frame.is_compressed && self.in_parts {
            PART
        } else {
            self.room_for_part()
        };
        let piece = input.take_some(frame.missing.min(most));
        let n = piece.len();
        self.note_progress(frame.opcode.is_control());
        if frame.opcode.is_control() {
            self.control.append(piece, frame.key);
        } else if let Some(inflater) = self.inflater.as_mut().filter(|_| frame.is_compressed) {
            frame.key.apply(piece, frame.received);
            let limit = self.limits.max_message_size;
            inflater.inflate(piece, &mut self.message, limit)?;
        } else {
            // Parts need no room for what follows.
            let expected = if self.in_parts { n } else { frame.missing };
            self.message.copy(piece, expected)?;
            self.message.absorb(n, frame.key, frame.received)?;
        }
        if frame.opcode == Opcode::Close {
            let allow_reserved = self.limits.allow_reserved_status_codes;
            CloseFrame::check_partial(self.control.bytes(), allow_reserved)?;
        }
        self.state = State::Payload(frame.after(n));
        Ok(())
    }

    fn take_filled(&mut self, n: usize) -> Result<Option<Ready>, ProtocolError> {
        let Some(frame) = self.directly_read_frame() else {
            assert_eq!(n, 0, "there was no spare room");
            return Ok(None);
        };
        assert!(n <= frame.missing, "the spare room was shorter");
        self.note_progress(false);
        self.message.absorb(n, frame.key, frame.received)?;
        let frame = frame.after(n);
        self.state = State::Payload(frame);
        if frame.missing == 0 {
            self.end_frame(frame)
        } else {
            Ok(None)
        }
    }

    /// The large frame in progress, unless it must be inflated. A control frame is too short to be
    /// one.
    fn directly_read_frame(&self) -> Option<Frame> {
        match self.state {
            State::Payload(frame) if frame.missing >= MIN_DIRECT_READ && !frame.is_compressed => {
                Some(frame)
            }
            _ => None,
        }
    }

    fn end_frame(&mut self, frame: Frame) -> Result<Option<Ready>, ProtocolError> {
        self.state = State::Header;
        if frame.opcode.is_control() {
            self.stop_after(frame.opcode);
            Ok(Some(Ready::Control(frame.opcode)))
        } else if frame.fin {
            if let Some(inflater) = self.inflater.as_mut().filter(|_| frame.is_compressed) {
                inflater.finish(&mut self.message, self.limits.max_message_size)?;
            }
            Ok(self.message.finish()?.map(Ready::Message))
        } else {
            Ok(None)
        }
    }

    fn stop_after(&mut self, control: Opcode) {
        if control == Opcode::Close {
            self.stop();
        }
    }

    #[cold]
    fn stop(&mut self) {
        self.state = State::Done;
        self.message = Assembly::default();
        if let Some(inflater) = &mut self.inflater {
            inflater.release();
        }
    }
}

/// Takes a message from the input and lends its payload without a copy.
#[inline(always)]
fn lend<'a>(message: WholeMessage, input: &'a mut Input<'_>) -> Result<Payload<'a>, ProtocolError> {
    let mut payload = input.take_payload(message.header_len, message.payload_len);
    message.kind.unmask(&mut payload, message.key)?;
    Ok(payload)
}
