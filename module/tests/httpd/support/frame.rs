//! Frames as a client writes and reads them, valid or not.

/// The first byte of a frame, with FIN unless the name says otherwise.
pub(crate) struct Opcode;

impl Opcode {
    pub(crate) const TEXT: u8 = 0x81;
    pub(crate) const BINARY: u8 = 0x82;
    pub(crate) const CLOSE: u8 = 0x88;
    pub(crate) const PING: u8 = 0x89;
    pub(crate) const PONG: u8 = 0x8a;
    /// Without FIN.
    pub(crate) const FIRST_TEXT: u8 = 0x01;
    pub(crate) const FIRST_BINARY: u8 = 0x02;
    pub(crate) const MIDDLE: u8 = 0x00;
    /// A continuation with FIN.
    pub(crate) const LAST: u8 = 0x80;
}

/// A frame from the server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, reserved bits and opcode.
    pub(crate) first_byte: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn text(payload: impl AsRef<[u8]>) -> Self {
        Self::new(Opcode::TEXT, payload)
    }

    pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::new(Opcode::BINARY, payload)
    }

    pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Self {
        Self::new(Opcode::PONG, payload)
    }

    /// A close frame with a status code and no reason.
    pub(crate) fn close(status: u16) -> Self {
        Self::new(Opcode::CLOSE, status.to_be_bytes())
    }

    pub(crate) fn new(first_byte: u8, payload: impl AsRef<[u8]>) -> Self {
        Self {
            first_byte,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// The frame at the start of `bytes` and its length, if it is complete.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (header, length) = match bytes.get(1)? {
            126 => (
                4,
                u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
            ),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
            &short => (2, short.into()),
        };
        let end = header + usize::try_from(length).ok()?;
        let payload = bytes.get(header..end)?.to_vec();
        let frame = Self {
            first_byte: bytes[0],
            payload,
        };
        Some((frame, end))
    }
}

impl std::fmt::Debug for Frame {
    /// Short, for a payload of any length. A close frame shows its code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = self.payload.get(..40).unwrap_or(&self.payload);
        write!(f, "{:#04x} [{}] ", self.first_byte, self.payload.len())?;
        match start {
            &[high, low, ref reason @ ..] if self.first_byte == Opcode::CLOSE => {
                let code = u16::from_be_bytes([high, low]);
                write!(f, "{code} {:?}", String::from_utf8_lossy(reason))
            }
            _ => write!(f, "{:?}", String::from_utf8_lossy(start)),
        }
    }
}

/// A client's frame: masked, with the length in the fewest bytes.
pub(crate) fn masked(first_byte: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let payload = payload.as_ref();
    let mut frame = header(first_byte, payload.len());
    frame[1] |= 0x80;
    frame.extend(KEY);
    frame.extend(
        payload
            .iter()
            .zip(KEY.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// The header of a client's frame whose payload is `length` zeros, and that needs a length of 64
/// bits. The mask is zero, too, so that the payload is sent as it is.
pub(crate) fn head_of_zeros(first_byte: u8, length: u64) -> Vec<u8> {
    let length = length.to_be_bytes();
    [&[first_byte, 0xff], &length[..], &[0; 4]].concat()
}

/// A frame without a mask, which clients must not send.
pub(crate) fn unmasked(first_byte: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [&header(first_byte, payload.len()), payload].concat()
}

fn header(first_byte: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first_byte];
    if let Ok(short @ ..126) = u8::try_from(length) {
        header.push(short);
    } else if let Ok(medium) = u16::try_from(length) {
        header.push(126);
        header.extend(medium.to_be_bytes());
    } else {
        header.push(127);
        header.extend((length as u64).to_be_bytes());
    }
    header
}
