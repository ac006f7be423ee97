//! Payloads of close frames (RFC 6455, section 5.5.1).

use std::ops::Deref;

use websocket_plugin::CloseCode;

use super::frame::MAX_CONTROL_PAYLOAD;
use super::{ProtocolError, utf8};

#[cfg(test)]
mod tests;

/// The contents of a client's close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// The status code.
    pub code: CloseCode,
    /// A text for developers; often empty.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Parses the payload of a close frame. Returns `None` for an empty payload, which has no
    /// status code.
    pub(super) fn parse(
        payload: &'a [u8],
        allow_reserved: bool,
    ) -> Result<Option<Self>, ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return if payload.is_empty() {
                Ok(None)
            } else {
                Err(ProtocolError::ClosePayloadTooShort)
            };
        };
        let code = check_code(u16::from_be_bytes(*code), allow_reserved)?;
        let reason = str::from_utf8(reason).map_err(|_| ProtocolError::ReasonNotUtf8)?;
        Ok(Some(Self { code, reason }))
    }

    /// Checks the beginning of a payload, and returns an error if no continuation can make it
    /// valid.
    pub(super) fn check_partial(payload: &[u8], allow_reserved: bool) -> Result<(), ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return Ok(());
        };
        check_code(u16::from_be_bytes(*code), allow_reserved)?;
        utf8::valid_prefix(reason).map_err(|_| ProtocolError::ReasonNotUtf8)?;
        Ok(())
    }
}

fn check_code(code: u16, allow_reserved: bool) -> Result<CloseCode, ProtocolError> {
    CloseCode::new(code)
        .filter(|code| allow_reserved || code.is_assigned())
        .ok_or(ProtocolError::CloseCodeNotAllowed(code))
}

/// The payload of a close frame to send: a status code and a reason.
///
/// Dereferences to its bytes. To send a close frame without a status code, use an empty payload
/// instead.
#[derive(Clone, Copy, Debug)]
pub struct ClosePayload {
    bytes: [u8; MAX_CONTROL_PAYLOAD as usize],
    len: usize,
}

impl ClosePayload {
    /// Length in bytes of the longest reason that fits into a control frame.
    pub const MAX_REASON: usize = MAX_CONTROL_PAYLOAD as usize - size_of::<u16>();

    /// A payload with this code and `reason`. A reason of more than
    /// [`MAX_REASON`](Self::MAX_REASON) bytes is cut off after the last character that fits.
    #[must_use]
    pub fn new(code: CloseCode, reason: &str) -> Self {
        let reason = &reason.as_bytes()[..reason.floor_char_boundary(Self::MAX_REASON)];
        let mut bytes = [0; MAX_CONTROL_PAYLOAD as usize];
        let (code_bytes, reason_bytes) = bytes.split_at_mut(size_of::<u16>());
        code_bytes.copy_from_slice(&code.get().to_be_bytes());
        reason_bytes[..reason.len()].copy_from_slice(reason);
        Self {
            bytes,
            len: size_of::<u16>() + reason.len(),
        }
    }
}

impl Deref for ClosePayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
