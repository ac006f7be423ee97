//! Headers of the client's frames, checked byte by byte (RFC 6455, section 5.2).

use crate::protocol::deflate::Inflater;
use crate::protocol::frame::{
    FIN, LENGTH, LENGTH_16, LENGTH_64, MASK, MAX_CONTROL_PAYLOAD, OPCODE,
};
use crate::protocol::message::Assembly;
use crate::protocol::{Limits, MaskingKey, MessageKind, Opcode, ProtocolError, Rsv};

/// The smallest payload lengths that are encoded in 16 and in 64 bits, in bytes.
const MIN_16: u64 = MAX_CONTROL_PAYLOAD as u64 + 1;
const MIN_64: u64 = u16::MAX as u64 + 1;

/// A valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) start: Start,
    pub(super) key: MaskingKey,
    /// In bytes. A length beyond the address space is too big for any limit, so this type suffices.
    pub(super) payload_len: usize,
}

/// The header of a message whose payload is completely in the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeMessage {
    pub(super) kind: MessageKind,
    pub(super) key: MaskingKey,
    /// In bytes.
    pub(super) header_len: usize,
    pub(super) payload_len: usize,
}

/// The first byte of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) fin: bool,
    pub(super) rsv: Rsv,
    pub(super) opcode: Opcode,
}

/// The rules for the next header.
#[derive(Clone, Copy)]
pub(super) struct Rules<'r> {
    pub(super) limits: &'r Limits,
    pub(super) message: &'r Assembly,
    pub(super) inflater: Option<&'r Inflater>,
}

impl Rules<'_> {
    /// Reads the header at the front of `bytes`. Returns the header and its length in bytes, or
    /// `None` if it is incomplete.
    ///
    /// Each rule is checked as soon as the byte that decides it has arrived, and the rules for one
    /// byte are checked before those for the next. So an error does not wait for later bytes, and
    /// does not depend on how many of them have arrived.
    ///
    /// # Errors
    ///
    /// The first rule that the client has certainly violated.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let start = Start {
            fin: first & FIN != 0,
            rsv: Rsv::of(first),
            opcode: Opcode::try_from(first & OPCODE)?,
        };
        self.check_start(start)?;
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if second & MASK == 0 {
            return Err(ProtocolError::Unmasked);
        }
        let short_len = second & LENGTH;
        if start.opcode.is_control() {
            check_control_len(start.opcode, short_len)?;
        }
        let (len, rest) = match short_len {
            LENGTH_16 => match rest.split_first_chunk() {
                Some((len, rest)) => (u16::from_be_bytes(*len).into(), rest),
                None => return self.check_part::<2>(start, rest, MIN_16).map(|()| None),
            },
            LENGTH_64 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return self.check_part::<8>(start, rest, MIN_64).map(|()| None),
            },
            short_len => (short_len.into(), rest),
        };
        if short_len > MAX_CONTROL_PAYLOAD {
            let min = if short_len == LENGTH_16 {
                MIN_16
            } else {
                MIN_64
            };
            self.check_long_length(start, min, len, len)?;
        }
        let payload_len = self.check_limit(start, len)?;
        let Some((key, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let header = Header {
            start,
            key: MaskingKey(*key),
            payload_len,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Reads the header of an uncompressed message in one frame that is completely in `bytes`.
    /// `None` stands for anything else, including an error, which [`read`](Self::read) must then
    /// handle.
    // `always`: see `Receiver::whole_message`.
    #[inline(always)]
    pub(super) fn read_whole_message(&self, bytes: &[u8]) -> Option<WholeMessage> {
        const TEXT: u8 = FIN | Opcode::Text as u8;
        const BINARY: u8 = FIN | Opcode::Binary as u8;
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let kind = match first {
            TEXT => MessageKind::Text,
            BINARY => MessageKind::Binary,
            _ => return None,
        };
        if second & MASK == 0 || self.message.is_under_way() {
            return None;
        }
        let (len, min, rest) = match second & LENGTH {
            LENGTH_16 => {
                let (len, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*len).into(), MIN_16, rest)
            }
            LENGTH_64 => {
                let (len, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*len), MIN_64, rest)
            }
            short_len => (short_len.into(), 0, rest),
        };
        let (key, rest) = rest.split_first_chunk()?;
        let is_right = len >= min && len <= self.limits.max_message_size;
        let payload_len = usize::try_from(len).ok().filter(|_| is_right)?;
        (payload_len <= rest.len()).then_some(WholeMessage {
            kind,
            key: MaskingKey(*key),
            header_len: bytes.len() - rest.len(),
            payload_len,
        })
    }

    /// The rules for the first byte (sections 5.2, 5.4 and 5.5).
    #[inline]
    fn check_start(&self, start: Start) -> Result<(), ProtocolError> {
        if start.rsv != Rsv::NONE && !self.may_be_compressed(start) {
            return Err(ProtocolError::ReservedBits);
        }
        match (start.opcode, self.message.is_under_way()) {
            (Opcode::Continuation, false) => Err(ProtocolError::UnexpectedContinuation),
            (Opcode::Continuation, true)
                if self.message.fragments() >= self.limits.max_fragments =>
            {
                Err(ProtocolError::TooManyFragments(self.limits.max_fragments))
            }
            (Opcode::Text | Opcode::Binary, true) => Err(ProtocolError::InterruptedMessage),
            (opcode, _) if opcode.is_control() && !start.fin => {
                Err(ProtocolError::FragmentedControl)
            }
            _ => Ok(()),
        }
    }

    /// Whether the reserved bits are those of a compressed message: only RSV1, and only in its
    /// first frame (RFC 7692, section 6).
    fn may_be_compressed(&self, start: Start) -> bool {
        self.inflater.is_some()
            && start.rsv == Rsv::RSV1
            && MessageKind::begun_by(start.opcode).is_some()
    }

    /// The rules for a length of 16 or 64 bits. The length is known to be in the range `from` to
    /// `to`. `min` is the smallest length that is encoded in this way.
    #[inline]
    fn check_long_length(
        &self,
        start: Start,
        min: u64,
        from: u64,
        to: u64,
    ) -> Result<(), ProtocolError> {
        // The second byte of the header has already announced at least `min` bytes.
        self.check_limit(start, min)?;
        if to < min {
            return Err(ProtocolError::LengthNotMinimal);
        }
        if from > i64::MAX.unsigned_abs() {
            return Err(ProtocolError::LengthTooLarge);
        }
        Ok(())
    }

    /// The same rules, for a length of which fewer than `SIZE` bytes have arrived.
    #[cold]
    fn check_part<const SIZE: usize>(
        &self,
        start: Start,
        part: &[u8],
        min: u64,
    ) -> Result<(), ProtocolError> {
        let mut bounds = [[0; SIZE], [0xff; SIZE]];
        for bound in &mut bounds {
            bound[..part.len()].copy_from_slice(part);
        }
        let number = |bytes: [u8; SIZE]| {
            bytes
                .iter()
                .fold(0, |all, &byte| all << 8 | u64::from(byte))
        };
        let [from, to] = bounds.map(number);
        self.check_long_length(start, min, from, to)?;
        self.check_limit(start, from).map(drop)
    }

    /// Checks that a payload of `len` bytes may follow.
    #[inline]
    fn check_limit(&self, start: Start, len: u64) -> Result<usize, ProtocolError> {
        let limit = self.limits.max_message_size;
        let (arrived, is_compressed) = match start.opcode {
            Opcode::Continuation => (self.message.total(), self.inflates()),
            _ => (0, start.rsv != Rsv::NONE),
        };
        // A short message may be longer when it is compressed. The inflater enforces the limit.
        let most = if is_compressed {
            u64::MAX
        } else {
            limit.saturating_sub(arrived)
        };
        usize::try_from(len)
            .ok()
            .filter(|_| len <= most)
            .ok_or(ProtocolError::TooBig(limit))
    }

    /// Whether a compressed message is in progress.
    pub(super) fn inflates(&self) -> bool {
        self.inflater.is_some_and(Inflater::is_under_way)
    }
}

/// The rules for the length of a control frame (section 5.5), which is in the second byte.
#[inline]
fn check_control_len(opcode: Opcode, short_len: u8) -> Result<(), ProtocolError> {
    if short_len > MAX_CONTROL_PAYLOAD {
        return Err(ProtocolError::ControlTooLong);
    }
    if opcode == Opcode::Close && short_len == 1 {
        return Err(ProtocolError::ClosePayloadTooShort);
    }
    Ok(())
}
