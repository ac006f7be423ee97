//! From the client's bytes to messages and control frames (RFC 6455, section 6.2).

use std::mem;

use super::close::CloseFrame;
use super::deflate::Inflater;
use super::message::Assembly;
use super::{DeflateParameters, FrameHeader, MaskingKey, MessageKind, Opcode, ProtocolError, Rsv};
use partial::{ControlPayload, PartialHeader};

pub use event::Event;

mod event;
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
/// it lies.
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

/// An [`Event`] that is complete; one that lies in the receiver is not borrowed yet.
#[derive(Clone, Copy)]
enum Ready<'b> {
    Message(MessageKind),
    Control(Opcode, &'b [u8]),
    AssembledControl(Opcode),
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
        let inflater = |parameters: DeflateParameters| {
            Box::new(Inflater::new(!parameters.client_no_context_takeover))
        };
        Self {
            limits,
            stage: Stage::Header,
            header: PartialHeader::default(),
            control: ControlPayload::default(),
            message: Assembly::default(),
            inflater: deflate.map(inflater),
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next event. `None` says that all
    /// were taken and more are needed, or, after an error or a close frame, that none are wanted.
    ///
    /// # Errors
    ///
    /// The rule or limit that the client broke. From then on nothing is received.
    #[inline]
    pub fn receive<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if let Some((kind, payload)) = self.whole_message(input) {
            return Ok(Some(Event::Message { kind, payload }));
        }
        let ready = self.advance(input);
        self.conclude(ready)
    }

    /// The way most messages take: one of a single frame, not compressed and wholly in the input, is
    /// handed out where it lies. `None` leaves everything else, mistakes among it, to [`receive`](Self::receive),
    /// which does the same first. To ask here saves making an [`Event`].
    // Always: a call costs one in twelve of the instructions that a short message takes in all, and whether
    // there is one would depend on code that has nothing to do with it.
    #[inline(always)]
    pub fn whole_message<'b>(
        &mut self,
        input: &mut &'b mut [u8],
    ) -> Option<(MessageKind, &'b mut [u8])> {
        if !matches!(self.stage, Stage::Header) || !self.header.is_empty() {
            return None;
        }
        let (header, header_len) = FrameHeader::decode(input).ok()??;
        let is_plain = header.fin && header.rsv == Rsv::NONE;
        let kind = MessageKind::begun_by(header.opcode).filter(|_| is_plain)?;
        let (key, len) = self.check(&header).ok()?;
        let frame = input.split_off_mut(..header_len.checked_add(len)?)?;
        let payload = &mut frame[header_len..];
        match kind.unmask(payload, key) {
            Ok(()) => Some((kind, payload)),
            Err(error) => {
                self.stage = Stage::Failed(error);
                None
            }
        }
    }

    /// Where the next bytes from the client may be put without a detour through an input, while the
    /// payload of a large frame is arriving. Never empty, and never more than belongs to the frame.
    #[must_use]
    pub fn spare(&mut self) -> Option<&mut [u8]> {
        let frame = self.directly_read_frame()?;
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
        self.conclude(ready)
    }

    /// Frees buffers that hold nothing. Meant for when the connection becomes idle: a busy one is
    /// better off with the buffer of its last message.
    pub fn release(&mut self) {
        self.message.release();
    }

    /// Ends the connection's input after an error, else lends out what is ready.
    fn conclude<'a, 'b: 'a>(
        &'a mut self,
        ready: Result<Option<Ready<'b>>, ProtocolError>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        match ready {
            Ok(Some(ready)) => self.event(ready).map(Some),
            Ok(None) => Ok(None),
            Err(error) => {
                self.stop();
                Err(error)
            }
        }
    }

    fn event<'a, 'b: 'a>(&'a mut self, ready: Ready<'b>) -> Result<Event<'a>, ProtocolError> {
        let allow_reserved = self.limits.allow_reserved_status_codes;
        match ready {
            Ready::Message(kind) => Ok(Event::Message {
                kind,
                payload: self.message.payload(),
            }),
            Ready::Control(opcode, payload) => Event::of_control(opcode, payload, allow_reserved),
            Ready::AssembledControl(opcode) => {
                Event::of_control(opcode, self.control.bytes(), allow_reserved)
            }
        }
    }

    /// Goes through `input` step by step until something is ready.
    fn advance<'b>(
        &mut self,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Ready<'b>>, ProtocolError> {
        loop {
            let ready = match self.stage {
                Stage::Header => {
                    let Some(header) = self.header.take(input)? else {
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
                    *input = &mut [];
                    return Ok(None);
                }
            };
            if ready.is_some() {
                return Ok(ready);
            }
        }
    }

    /// Judges a header and takes the payload with it where it can be handed out as it lies.
    fn begin_frame<'b>(
        &mut self,
        header: FrameHeader,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Ready<'b>>, ProtocolError> {
        let FrameHeader { fin, opcode, .. } = header;
        let (key, len) = self.check(&header)?;
        if opcode.is_control() {
            if let Some(payload) = input.split_off_mut(..len) {
                key.apply(payload, 0);
                self.stop_after(opcode);
                return Ok(Some(Ready::Control(opcode, payload)));
            }
            self.control.clear();
        } else if let Some(kind) = MessageKind::begun_by(opcode) {
            self.message.begin(kind);
            if let Some(inflater) = self.inflater.as_mut().filter(|_| header.rsv != Rsv::NONE) {
                inflater.begin();
            }
        }
        self.stage = Stage::Payload(Frame {
            fin,
            opcode,
            key,
            is_compressed: !opcode.is_control() && self.inflates(),
            received: 0,
            missing: len,
        });
        Ok(None)
    }

    /// The rules that a header alone cannot tell. Gives what the payload needs: the masking key and
    /// the length.
    #[inline]
    fn check(&self, header: &FrameHeader) -> Result<(MaskingKey, usize), ProtocolError> {
        if header.rsv != Rsv::NONE && !self.may_be_compressed(header) {
            return Err(ProtocolError::ReservedBits);
        }
        let key = header.mask.ok_or(ProtocolError::Unmasked)?;
        let held = match (header.opcode, self.message.is_under_way()) {
            (Opcode::Continuation, true) => self.message.len(),
            (Opcode::Continuation, false) => return Err(ProtocolError::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, true) => return Err(ProtocolError::InterruptedMessage),
            _ => 0,
        };
        let limit = self.limits.max_message_size;
        if header.rsv != Rsv::NONE || (header.opcode == Opcode::Continuation && self.inflates()) {
            // Short messages may be a little longer when they are compressed. The limit is minded
            // while they are inflated, and nothing else is kept of them.
            let len = usize::try_from(header.payload_len);
            return Ok((key, len.map_err(|_| ProtocolError::TooBig(limit))?));
        }
        // More than the address space holds is too big whatever the limit.
        let max_len = usize::try_from(limit).unwrap_or(usize::MAX);
        let len = usize::try_from(header.payload_len).ok();
        let len = len.filter(|&len| len <= max_len.saturating_sub(held));
        Ok((key, len.ok_or(ProtocolError::TooBig(limit))?))
    }

    /// The reserved bits of a compressed message: RSV1, and only in its first frame (RFC 7692, section
    /// 6).
    fn may_be_compressed(&self, header: &FrameHeader) -> bool {
        self.inflater.is_some()
            && header.rsv == Rsv::RSV1
            && MessageKind::begun_by(header.opcode).is_some()
    }

    /// Whether a compressed message is under way.
    fn inflates(&self) -> bool {
        let inflater = self.inflater.as_ref();
        inflater.is_some_and(|inflater| inflater.is_under_way())
    }

    /// Takes what there is of a frame's payload.
    fn take_payload(&mut self, frame: Frame, input: &mut &mut [u8]) -> Result<(), ProtocolError> {
        let n = frame.missing.min(input.len());
        let (piece, rest) = mem::take(input).split_at_mut(n);
        *input = rest;
        if frame.opcode.is_control() {
            self.control.append(piece, frame.key);
        } else if let Some(inflater) = self.inflater.as_mut().filter(|_| frame.is_compressed) {
            frame.key.apply(piece, frame.received);
            let limit = self.limits.max_message_size;
            inflater.inflate(piece, &mut self.message, limit)?;
        } else {
            self.message.copy(piece, frame.missing);
            self.message.absorb(n, frame.key, frame.received)?;
        }
        if frame.opcode == Opcode::Close {
            let allow_reserved = self.limits.allow_reserved_status_codes;
            CloseFrame::check_partial(self.control.bytes(), allow_reserved)?;
        }
        self.stage = Stage::Payload(frame.after(n));
        Ok(())
    }

    fn take_filled(&mut self, n: usize) -> Result<Option<Ready<'static>>, ProtocolError> {
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

    fn end_frame<'b>(&mut self, frame: Frame) -> Result<Option<Ready<'b>>, ProtocolError> {
        self.stage = Stage::Header;
        if frame.opcode.is_control() {
            self.stop_after(frame.opcode);
            Ok(Some(Ready::AssembledControl(frame.opcode)))
        } else if frame.fin {
            if let Some(inflater) = self.inflater.as_mut().filter(|_| frame.is_compressed) {
                inflater.finish()?;
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
