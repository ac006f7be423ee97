//! What the floors do with bytes: no checks at all. Opcodes, masks, lengths and UTF-8 are taken as
//! they come.

use std::ops::Range;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The answer to an opening handshake, which gets no look but for its key.
#[must_use]
pub fn opening_answer(request: &[u8]) -> Vec<u8> {
    const KEY: &str = "Sec-WebSocket-Key: ";
    let request = String::from_utf8_lossy(request);
    let key = request.lines().find_map(|line| line.strip_prefix(KEY));
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// Turns all whole frames into their echo, where they lie. Gives the place of the echo and the
/// length of what it was made of.
///
/// The echo lacks the four bytes of each masking key. They are saved in front, so that the payload
/// of the first frame, which may be large, need not move.
pub fn echo(buffer: &mut [u8]) -> (Range<usize>, usize) {
    let (mut from, mut to) = (0, 4);
    while let Some((header_len, payload_len)) = lengths(&buffer[from..])
        && buffer.len() - from >= header_len + 4 + payload_len
    {
        let (key_at, payload_at) = (from + header_len, from + header_len + 4);
        let end = payload_at + payload_len;
        let key = [0, 1, 2, 3].map(|i| buffer[key_at + i]);
        unmask(&mut buffer[payload_at..end], key);
        buffer.copy_within(from..key_at, to);
        buffer[to + 1] &= 0x7f; // not masked
        to += header_len;
        if to < payload_at {
            buffer.copy_within(payload_at..end, to);
        }
        to += payload_len;
        from = end;
    }
    (4..to, from)
}

/// Of a header without its masking key, and of the payload.
fn lengths(input: &[u8]) -> Option<(usize, usize)> {
    match input.get(1)? & 0x7f {
        126 => {
            let len = input.get(2..4)?.try_into().ok()?;
            Some((4, usize::from(u16::from_be_bytes(len))))
        }
        127 => {
            let len = input.get(2..10)?.try_into().ok()?;
            Some((10, usize::try_from(u64::from_be_bytes(len)).ok()?))
        }
        len => Some((2, usize::from(len))),
    }
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::echo;
    use crate::frames::{masked, unmasked};

    #[test]
    fn whole_frames_become_their_echo_and_the_rest_stays() {
        for sizes in [&[][..], &[0], &[5, 0, 125, 126], &[70_000, 1]] {
            let payload = |size: &usize| vec![b'x'; *size];
            let frames = |frame: fn(&[u8], bool) -> Vec<u8>| -> Vec<u8> {
                let frames = sizes.iter().map(|size| frame(&payload(size), false));
                frames.collect::<Vec<_>>().concat()
            };
            let whole = frames(masked);
            for rest in [0, 1, 3] {
                let mut buffer = [&whole[..], &masked(b"next", false)[..rest]].concat();
                let (place, taken) = echo(&mut buffer);
                assert_eq!(taken, whole.len(), "{sizes:?}");
                let echoed = buffer.get(place).unwrap_or_default();
                assert_eq!(echoed, frames(unmasked), "{sizes:?}");
            }
        }
    }
}
