//! The bytes that go out and that must come back (RFC 6455, section 5.2).
//!
//! All messages are the same text, so both directions are one frame repeated for ever: what is to be
//! sent or expected next is a slice of a block of frames, found by the position in the stream.

/// A first byte for a text message of one frame.
const FIN_TEXT: u8 = 0x81;
/// A first byte for the end of the connection.
const FIN_CLOSE: u8 = 0x88;
/// The bit of the second byte that announces a masking key.
const MASKED: u8 = 0x80;
/// None of its bytes is 0, so that nothing is unmasked for free.
const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Status 1000, masked.
#[must_use]
pub fn close_frame() -> Vec<u8> {
    frame(FIN_CLOSE, &1000_u16.to_be_bytes(), Some(MASKING_KEY))
}

/// One frame, repeated for ever.
#[derive(Debug)]
pub struct Stream {
    block: Vec<u8>,
    frame_len: usize,
}

impl Stream {
    /// Masked frames with a text of `size` bytes. `window` bytes of them can be looked at in one
    /// piece.
    #[must_use]
    pub fn masked(size: usize, window: usize) -> Self {
        Self::repeat(&frame(FIN_TEXT, &text(size), Some(MASKING_KEY)), window)
    }

    /// The same frames as a server sends them: without a masking key.
    #[must_use]
    pub fn unmasked(size: usize, window: usize) -> Self {
        Self::repeat(&frame(FIN_TEXT, &text(size), None), window)
    }

    fn repeat(frame: &[u8], window: usize) -> Self {
        // Wherever in the first frame the window begins.
        let frames = 1 + window.div_ceil(frame.len());
        Self {
            block: frame.repeat(frames),
            frame_len: frame.len(),
        }
    }

    /// Length of a frame in bytes.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.frame_len
    }

    /// What follows the first `position` bytes: `len` bytes, or as many as the window has.
    #[must_use]
    pub fn slice(&self, position: u64, len: usize) -> &[u8] {
        let frame_len = self.frame_len as u64;
        // Less than frame_len, which is a usize.
        let start = usize::try_from(position % frame_len).unwrap_or_default();
        let rest = &self.block[start..];
        &rest[..len.min(rest.len())]
    }
}

/// Printable ASCII whose period of 95 fits no power of two, so that bytes in the wrong place show.
fn text(size: usize) -> Vec<u8> {
    (b' '..=b'~').cycle().take(size).collect()
}

fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mask_bit = if key.is_some() { MASKED } else { 0 };
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..=125), _) => frame.push(mask_bit | len),
        (_, Ok(len)) => {
            frame.push(mask_bit | 126);
            frame.extend(len.to_be_bytes());
        }
        _ => {
            frame.push(mask_bit | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(
        key.unwrap_or_default()
            .iter()
            .take(4 * usize::from(mask_bit != 0)),
    );
    let key = key.unwrap_or([0; 4]);
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_shortest_length() {
        for (size, header) in [
            (125, &[0x81, 125][..]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let stream = Stream::unmasked(size, 1);
            assert_eq!(stream.slice(0, header.len()), header, "{size}");
            assert_eq!(stream.frame_len(), header.len() + size);
        }
    }

    #[test]
    fn masked_frames_differ_by_the_key_alone() {
        let (masked, plain) = (Stream::masked(5, 11), Stream::unmasked(5, 7));
        assert_eq!(masked.slice(0, 6), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
        for (i, byte) in plain.slice(2, 5).iter().enumerate() {
            assert_eq!(masked.slice(6, 5)[i], byte ^ MASKING_KEY[i % 4]);
        }
    }

    #[test]
    fn every_position_has_a_whole_window() {
        let stream = Stream::unmasked(3, 12);
        let forever: Vec<u8> = stream.slice(0, 5).repeat(9);
        for position in 0..20 {
            let start = usize::try_from(position).unwrap();
            assert_eq!(stream.slice(position, 12), &forever[start..][..12]);
        }
    }
}
