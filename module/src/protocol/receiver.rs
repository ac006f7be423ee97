//! From the client's bytes to messages and control frames (RFC 6455, section 6.2).

use std::ops::Range;

use super::close::CloseFrame;
use super::deflate::Inflater;
use super::message::Assembly;
use super::{DeflateParameters, MaskingKey, MessageKind, Opcode, ProtocolError, Rsv};
use header::{Header, Rules, Start, WholeMessage};
use partial::{ControlPayload, PartialHeader};

pub use event::Event;
pub use input::{Input, Payload};

mod event;
mod header;
mod input;
mod partial;
#[cfg(test)]
mod tests;

/// From so many missing bytes on, the rest of a frame is better read straight into the message.
/// With fewer, one read of everything that is there saves more than a copy costs.
const MIN_DIRECT_READ: usize = 16 * 1024;

/// What the client may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest payload of a message, its fragments added up and inflated, and of a control
    /// frame, in bytes.
    pub max_message_size: u64,
    /// Whether close frames may carry the status codes kept for the future: 1004 and 1016 to 2999.
    pub allow_reserved_status_codes: bool,
}

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
/// A message of one frame that is wholly in the input never leaves `Header` and is handed out where
/// it lies. A header is judged byte by byte as it arrives, whole or not (`header.rs`).
#[derive(Debug)]
pub struct Receiver {
    limits: Limits,
    stage: Stage,
    header: PartialHeader,
    control: ControlPayload,
    message: Assembly,
    /// There if messages may be compressed.
    inflater: Option<Box<Inflater>>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// A header comes next, or what is missing of it.
    Header,
    /// More of this frame's payload comes next.
    Payload(Frame),
    /// A mistake was found, which [`Receiver::receive`] still has to tell.
    Failed(ProtocolError),
    /// Nothing more is taken.
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

/// An [`Event`] that is complete, and where it lies.
enum Ready {
    /// In the receiver.
    Message(MessageKind),
    /// In the input.
    WholeControl(Opcode, Range<usize>),
    /// In the receiver.
    Control(Opcode),
}

impl Receiver {
    /// A receiver for a connection that was just opened.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_deflate(limits, None)
    }

    /// The same for a connection whose client may compress, if that was agreed on.
    #[must_use]
    pub fn with_deflate(limits: Limits, deflate: Option<DeflateParameters>) -> Self {
        Self {
            limits,
            stage: Stage::Header,
            header: PartialHeader::default(),
            control: ControlPayload::default(),
            message: Assembly::default(),
            inflater: deflate.map(|agreed| Box::new(Inflater::new(&agreed))),
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next event. `None` says that all
    /// were taken and more are needed, or, after an error or a close frame, that none are wanted.
    ///
    /// # Errors
    ///
    /// The rule or limit that the client broke. From then on nothing is received.
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
        let ready = self.advance(input);
        self.conclude(ready, Some(input))
    }

    /// The way most messages take: one of a single frame, not compressed and wholly in the input, is
    /// handed out where it lies. `None` leaves everything else, mistakes among it, to [`receive`](Self::receive),
    /// which does the same first. To ask here saves making an [`Event`].
    // Always: a call costs one in twelve of the instructions that a short message takes in all, and whether
    // there is one would depend on code that has nothing to do with it.
    #[inline(always)]
    pub fn whole_message<'a>(
        &mut self,
        input: &'a mut Input<'_>,
    ) -> Option<(MessageKind, Payload<'a>)> {
        let message = self.find_whole_message(input)?;
        match lend(message, input) {
            Ok(payload) => Some((message.kind, payload)),
            Err(error) => {
                self.stage = Stage::Failed(error);
                None
            }
        }
    }

    #[inline(always)]
    fn find_whole_message(&self, input: &Input<'_>) -> Option<WholeMessage> {
        if !matches!(self.stage, Stage::Header) || !self.header.is_empty() {
            return None;
        }
        self.rules().read_whole_message(input.rest())
    }

    /// Where the next bytes from the client may be put without a detour through an input, while the
    /// payload of a large frame is arriving. Never empty, and never more than belongs to the frame.
    ///
    /// `None` also if there is no memory: then [`receive`](Self::receive) fails.
    #[must_use]
    pub fn spare(&mut self) -> Option<&mut [u8]> {
        let frame = self.directly_read_frame()?;
        if let Err(error) = self.message.make_room(frame.missing) {
            self.message = Assembly::default();
            self.stage = Stage::Failed(error);
            return None;
        }
        Some(self.message.room(frame.missing))
    }

    /// Takes up `n` bytes that were put into the front of [`spare`](Self::spare).
    ///
    /// # Errors
    ///
    /// As for [`receive`](Self::receive).
    ///
    /// # Panics
    ///
    /// If `n` is more than fits there.
    pub fn filled(&mut self, n: usize) -> Result<Option<Event<'_>>, ProtocolError> {
        let ready = self.take_filled(n);
        self.conclude(ready, None)
    }

    /// Frees buffers that hold nothing. Meant for when the connection becomes idle: a busy one is
    /// better off with the buffer of its last message.
    pub fn release(&mut self) {
        self.message.release();
    }

    /// What the next header is judged by.
    #[inline(always)]
    fn rules(&self) -> Rules<'_> {
        Rules {
            limits: &self.limits,
            message: &self.message,
            inflater: self.inflater.as_deref(),
        }
    }

    /// Ends the connection's input after an error, else lends out what is ready.
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
            (Ready::Message(kind), _) => Ok(Event::Message {
                kind,
                payload: self.message.payload(),
            }),
            (Ready::Control(opcode) | Ready::WholeControl(opcode, _), _) => {
                Event::of_control(opcode, self.control.bytes(), allow_reserved)
            }
        }
    }

    /// Goes through `input` step by step until something is ready.
    fn advance(&mut self, input: &mut Input<'_>) -> Result<Option<Ready>, ProtocolError> {
        loop {
            let ready = match self.stage {
                Stage::Header => {
                    let rules = Rules {
                        limits: &self.limits,
                        message: &self.message,
                        inflater: self.inflater.as_deref(),
                    };
                    let Some(header) = self.header.take(input, rules)? else {
                        return Ok(None);
                    };
                    self.begin_frame(header, input)?
                }
                Stage::Payload(frame) if frame.missing == 0 => self.end_frame(frame)?,
                Stage::Payload(_) if input.is_empty() => return Ok(None),
                Stage::Payload(frame) => {
                    self.take_payload(frame, input)?;
                    None
                }
                Stage::Failed(error) => return Err(error),
                Stage::Done => {
                    input.take_all();
                    return Ok(None);
                }
            };
            if ready.is_some() {
                return Ok(ready);
            }
        }
    }

    /// Begins a frame, and takes the payload with it where it can be handed out as it lies.
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
        } else if let Some(kind) = MessageKind::begun_by(opcode) {
            self.message.begin(kind);
            if let Some(inflater) = self.inflater.as_mut().filter(|_| rsv != Rsv::NONE) {
                inflater.begin();
            }
        }
        self.stage = Stage::Payload(Frame {
            fin,
            opcode,
            key,
            is_compressed: !opcode.is_control() && self.rules().inflates(),
            received: 0,
            missing: payload_len,
        });
        Ok(None)
    }

    /// Takes what there is of a frame's payload.
    fn take_payload(&mut self, frame: Frame, input: &mut Input<'_>) -> Result<(), ProtocolError> {
        let piece = input.take_some(frame.missing);
        let n = piece.len();
        if frame.opcode.is_control() {
            self.control.append(piece, frame.key);
        } else if let Some(inflater) = self.inflater.as_mut().filter(|_| frame.is_compressed) {
            frame.key.apply(piece, frame.received);
            let limit = self.limits.max_message_size;
            inflater.inflate(piece, &mut self.message, limit)?;
        } else {
            self.message.copy(piece, frame.missing)?;
            self.message.absorb(n, frame.key, frame.received)?;
        }
        if frame.opcode == Opcode::Close {
            let allow_reserved = self.limits.allow_reserved_status_codes;
            CloseFrame::check_partial(self.control.bytes(), allow_reserved)?;
        }
        self.stage = Stage::Payload(frame.after(n));
        Ok(())
    }

    fn take_filled(&mut self, n: usize) -> Result<Option<Ready>, ProtocolError> {
        let Some(frame) = self.directly_read_frame() else {
            assert_eq!(n, 0, "there was no spare room");
            return Ok(None);
        };
        assert!(n <= frame.missing, "the spare room was shorter");
        self.message.absorb(n, frame.key, frame.received)?;
        let frame = frame.after(n);
        self.stage = Stage::Payload(frame);
        if frame.missing == 0 {
            self.end_frame(frame)
        } else {
            Ok(None)
        }
    }

    /// The large frame that is arriving, unless it has to be inflated. Control frames are too short
    /// ever to be it.
    fn directly_read_frame(&self) -> Option<Frame> {
        match self.stage {
            Stage::Payload(frame) if frame.missing >= MIN_DIRECT_READ && !frame.is_compressed => {
                Some(frame)
            }
            _ => None,
        }
    }

    fn end_frame(&mut self, frame: Frame) -> Result<Option<Ready>, ProtocolError> {
        self.stage = Stage::Header;
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
        self.stage = Stage::Done;
        self.message = Assembly::default();
        if let Some(inflater) = &mut self.inflater {
            inflater.release();
        }
    }
}

/// Takes a message off the input and hands it out where it lies.
#[inline(always)]
fn lend<'a>(message: WholeMessage, input: &'a mut Input<'_>) -> Result<Payload<'a>, ProtocolError> {
    let mut payload = input.take_payload(message.header_len, message.payload_len);
    message.kind.unmask(&mut payload, message.key)?;
    Ok(payload)
}
