//! Headers and control payloads that arrive in several pieces.

use super::header::{Header, Rules};
use crate::protocol::frame::MAX_CONTROL_PAYLOAD;
use crate::protocol::{FrameHeader, Input, MaskingKey, ProtocolError};

/// The first part of a header.
#[derive(Debug, Default)]
pub(super) struct PartialHeader {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: usize,
}

impl PartialHeader {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a header from the front of `input`. If it is incomplete, takes and keeps all bytes.
    ///
    /// # Errors
    ///
    /// As for [`Rules::read`].
    #[inline]
    pub(super) fn take(
        &mut self,
        input: &mut Input<'_>,
        rules: Rules<'_>,
    ) -> Result<Option<Header>, ProtocolError> {
        if self.len == 0
            && let Some((header, len)) = rules.read(input.rest())?
        {
            input.take_some(len);
            return Ok(Some(header));
        }
        self.go_on(input, rules)
    }

    #[cold]
    fn go_on(
        &mut self,
        input: &mut Input<'_>,
        rules: Rules<'_>,
    ) -> Result<Option<Header>, ProtocolError> {
        let held = self.len;
        for (slot, byte) in self.bytes[held..].iter_mut().zip(input.rest()) {
            *slot = *byte;
            self.len += 1;
        }
        let Some((header, len)) = rules.read(&self.bytes[..self.len])? else {
            input.take_some(self.len - held);
            return Ok(None);
        };
        input.take_some(len - held);
        self.len = 0;
        Ok(Some(header))
    }
}

/// The payload of a control frame in progress. Most connections never have one that arrives in
/// pieces, so it takes no room in them.
#[derive(Debug, Default)]
pub(super) struct ControlPayload {
    bytes: Option<Box<[u8; MAX_CONTROL_PAYLOAD as usize]>>,
    len: usize,
}

impl ControlPayload {
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends and unmasks `piece`, which must fit into a control frame.
    pub(super) fn append(&mut self, piece: &[u8], key: MaskingKey) {
        let bytes = self
            .bytes
            .get_or_insert_with(|| Box::new([0; MAX_CONTROL_PAYLOAD as usize]));
        let slot = &mut bytes[self.len..][..piece.len()];
        slot.copy_from_slice(piece);
        key.apply(slot, self.len);
        self.len += piece.len();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| &bytes[..self.len])
    }
}
