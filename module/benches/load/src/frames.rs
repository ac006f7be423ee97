//! The bytes that go out and that must come back (RFC 6455, section 5.2).
//!
//! The same messages come over and over, so both directions are some frames repeated for ever: what
//! is to be sent or expected next is a slice of a block of frames, found by the position in the
//! stream.

/// A first byte for a text message of one frame.
pub const FIN_TEXT: u8 = 0x81;
/// The bit of the first byte that says that the message is compressed (RFC 7692, section 6).
pub const RSV1: u8 = 0x40;
/// A first byte for the end of the connection.
pub const FIN_CLOSE: u8 = 0x88;
/// A first byte for a ping.
const FIN_PING: u8 = 0x89;
/// The bit of the second byte that announces a masking key.
const MASKED: u8 = 0x80;
/// None of its bytes is 0, so that nothing is unmasked for free.
pub const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A ping without payload, as a client sends it.
#[must_use]
pub fn masked_ping() -> Vec<u8> {
    frame(FIN_PING, &[], Some(MASKING_KEY))
}

/// Status 1000, masked.
#[must_use]
pub fn close_frame() -> Vec<u8> {
    frame(FIN_CLOSE, &1000_u16.to_be_bytes(), Some(MASKING_KEY))
}

/// A text message as a client sends it.
#[must_use]
pub fn masked(payload: &[u8], is_compressed: bool) -> Vec<u8> {
    frame(first_byte(is_compressed), payload, Some(MASKING_KEY))
}

/// A text message as a server sends it: without a masking key.
#[must_use]
pub fn unmasked(payload: &[u8], is_compressed: bool) -> Vec<u8> {
    frame(first_byte(is_compressed), payload, None)
}

fn first_byte(is_compressed: bool) -> u8 {
    FIN_TEXT | if is_compressed { RSV1 } else { 0 }
}

/// Some frames, then others, which are repeated for ever.
#[derive(Debug)]
pub struct Stream {
    /// The first frames, and the others as often as the window needs.
    block: Vec<u8>,
    /// How many bytes the first 0, 1, 2, ... frames are, up to the end of the first round.
    ends: Vec<u64>,
    first_frames: usize,
}

impl Stream {
    /// `first` comes once, `again` for ever. `window` bytes can be looked at in one piece.
    #[must_use]
    pub fn new(first: &[Vec<u8>], again: &[Vec<u8>], window: usize) -> Self {
        let round = again.concat();
        // Wherever in the round the window begins.
        let rounds = 1 + window.div_ceil(round.len());
        let mut ends = vec![0];
        let mut end = 0;
        for frame in first.iter().chain(again) {
            end += frame.len() as u64;
            ends.push(end);
        }
        Self {
            block: [first.concat(), round.repeat(rounds)].concat(),
            ends,
            first_frames: first.len(),
        }
    }

    /// Where the `message`-th message begins, counted from 0.
    #[must_use]
    pub fn position(&self, message: u64) -> u64 {
        let first = self.first_frames as u64;
        let (rounds, message) = match message.checked_sub(first) {
            None => (0, message),
            Some(later) => {
                let frames = self.ends.len() as u64 - 1 - first;
                (later / frames, first + later % frames)
            }
        };
        // Less than the number of ends, which is a usize.
        let index = usize::try_from(message).unwrap_or_default();
        rounds * self.round_len() + self.ends[index]
    }

    /// How many messages end within the first `position` bytes.
    #[must_use]
    pub fn messages(&self, position: u64) -> u64 {
        let (rounds, position) = self.in_first_round(position);
        let frames = self.ends.len() - 1 - self.first_frames;
        let ended = self.ends.partition_point(|&end| end <= position) - 1;
        rounds * frames as u64 + ended as u64
    }

    /// What follows the first `position` bytes: `len` bytes, or as many as the window has.
    #[must_use]
    pub fn slice(&self, position: u64, len: usize) -> &[u8] {
        let (_, start) = self.in_first_round(position);
        // Less than the length of the block, which is a usize.
        let start = usize::try_from(start).unwrap_or_default();
        let rest = &self.block[start..];
        &rest[..len.min(rest.len())]
    }

    /// How many whole rounds precede `position`, and which position of the first one is like it.
    fn in_first_round(&self, position: u64) -> (u64, u64) {
        let first = self.ends[self.first_frames];
        match position.checked_sub(first) {
            None => (0, position),
            Some(later) => {
                let round = self.round_len();
                (later / round, first + later % round)
            }
        }
    }

    fn round_len(&self) -> u64 {
        self.ends[self.ends.len() - 1] - self.ends[self.first_frames]
    }
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
            let frame = unmasked(&vec![b'x'; size], false);
            assert_eq!(frame[..header.len()], *header, "{size}");
            assert_eq!(frame.len(), header.len() + size);
        }
        assert_eq!(unmasked(b"x", true)[0], 0xc1);
    }

    #[test]
    fn masked_frames_differ_by_the_key_alone() {
        let (masked, plain) = (masked(b"hello", false), unmasked(b"hello", false));
        assert_eq!(masked[..6], [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
        for (i, byte) in plain[2..].iter().enumerate() {
            assert_eq!(masked[6 + i], byte ^ MASKING_KEY[i % 4]);
        }
    }

    #[test]
    fn every_position_has_a_whole_window_and_a_number_of_messages() {
        let frames = |texts: &[&str]| -> Vec<Vec<u8>> {
            texts
                .iter()
                .map(|text| unmasked(text.as_bytes(), false))
                .collect()
        };
        for first in [&[][..], &["1", "two"]] {
            let (first, again) = (frames(first), frames(&["three", "", "4"]));
            let stream = Stream::new(&first, &again, 12);
            let all: Vec<Vec<u8>> = first
                .iter()
                .chain(again.iter().cycle())
                .take(40)
                .cloned()
                .collect();
            let forever = all.concat();
            for position in 0..50 {
                let start = usize::try_from(position).unwrap();
                assert_eq!(stream.slice(position, 12), &forever[start..][..12]);
            }
            let mut position = 0;
            for (number, frame) in (0..).zip(&all) {
                assert_eq!(stream.position(number), position);
                assert_eq!(stream.messages(position), number);
                position += frame.len() as u64;
                assert_eq!(stream.messages(position - 1), number);
            }
        }
    }
}
