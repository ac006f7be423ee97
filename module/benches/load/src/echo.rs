//! Whether the right bytes come back.

use std::ops::Range;

use anyhow::{Result, ensure};

use crate::deflate::{Deflate, Inflater};
use crate::frames::{FIN_TEXT, RSV1, Stream};
use crate::texts::Texts;

/// What must come back, on every connection alike.
#[derive(Debug)]
pub enum Echo {
    /// These bytes and no others.
    Bytes(Stream),
    /// Whatever inflates to these texts: how a server compresses is its own affair.
    Compressed(Texts, Deflate),
}

impl Echo {
    /// The echo of `texts`, of which up to `read_size` bytes come at once.
    #[must_use]
    pub fn new(texts: Texts, read_size: usize) -> Self {
        match texts.deflate() {
            None => Self::Bytes(texts.echoes(read_size)),
            Some(deflate) => Self::Compressed(texts, deflate),
        }
    }
}

/// How much of it has come on one connection.
#[derive(Debug, Default)]
pub struct Received {
    bytes: u64,
    messages: u64,
    /// With compression, from the first message on.
    inflating: Option<Box<Inflating>>,
}

/// A server's compressed messages on their way to being texts again.
#[derive(Debug)]
struct Inflating {
    inflater: Inflater,
    /// The beginning of a frame.
    unread: Vec<u8>,
}

impl Received {
    /// In bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what was read and gives the number of messages that are complete with it.
    ///
    /// # Errors
    /// It is not what was sent, or should be compressed and is not.
    pub fn take(&mut self, read: &[u8], echo: &Echo) -> Result<u64> {
        let before = self.messages;
        match echo {
            Echo::Bytes(expected) => {
                ensure!(
                    read == expected.slice(self.bytes, read.len()),
                    "what comes back is not what was sent, somewhere after byte {}",
                    self.bytes
                );
                self.messages = expected.messages(self.bytes + read.len() as u64);
            }
            Echo::Compressed(texts, deflate) => self.inflate(read, texts, *deflate)?,
        }
        self.bytes += read.len() as u64;
        Ok(self.messages - before)
    }

    fn inflate(&mut self, read: &[u8], texts: &Texts, deflate: Deflate) -> Result<()> {
        let Inflating { inflater, unread } = &mut **self.inflating.get_or_insert_with(|| {
            Box::new(Inflating {
                inflater: Inflater::new(deflate, texts.size()),
                unread: Vec::new(),
            })
        });
        unread.extend_from_slice(read);
        let mut rest = &unread[..];
        while let Some(payload) = payload(rest)? {
            let text = inflater.inflate(&rest[payload.clone()])?;
            ensure!(
                text == texts.text(self.messages),
                "message {} does not come back as it was sent",
                self.messages
            );
            self.messages += 1;
            rest = &rest[payload.end..];
        }
        let taken = unread.len() - rest.len();
        unread.drain(..taken);
        Ok(())
    }
}

/// Where the payload of the first frame is, if it has come as a whole.
fn payload(bytes: &[u8]) -> Result<Option<Range<usize>>> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    ensure!(
        first == FIN_TEXT | RSV1,
        "a compressed text in one frame was expected, not one that begins with {first:#04x}"
    );
    let (start, len) = match rest {
        [126, high, low, ..] => (4, u64::from(u16::from_be_bytes([*high, *low]))),
        [127, len @ ..] => match len.first_chunk() {
            Some(len) => (10, u64::from_be_bytes(*len)),
            None => return Ok(None),
        },
        [126, ..] | [] => return Ok(None),
        [len, ..] => {
            ensure!(*len < 126, "the server masks its frames");
            (2, u64::from(*len))
        }
    };
    let end = usize::try_from(len)?.saturating_add(start);
    Ok((end <= bytes.len()).then_some(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::Deflater;
    use crate::frames::unmasked;

    fn compressed(count: u64) -> (Echo, Vec<u8>) {
        let deflate = Deflate::ContextTakeover;
        let texts = Texts::json(1024, Some(deflate));
        let mut deflater = Deflater::new(deflate);
        let frames = (0..count).flat_map(|number| {
            let payload = deflater.deflate(texts.text(number)).unwrap();
            unmasked(&payload, true)
        });
        let bytes = frames.collect();
        (Echo::new(texts, 1), bytes)
    }

    #[test]
    fn compressed_echoes_are_counted_however_they_are_cut() {
        let (echo, bytes) = compressed(70);
        for size in [1, 2, 3, 100, 1000, bytes.len()] {
            let mut received = Received::default();
            let counts = bytes
                .chunks(size)
                .map(|read| received.take(read, &echo).unwrap());
            assert_eq!(counts.sum::<u64>(), 70, "{size}");
            assert_eq!(received.bytes(), bytes.len() as u64);
        }
    }

    #[test]
    fn a_wrong_text_does_not_count() {
        let (echo, bytes) = compressed(2);
        let second = bytes.len() - payload(&bytes).unwrap().unwrap().end;
        let swapped = [&bytes[bytes.len() - second..], &bytes[..]].concat();
        assert!(Received::default().take(&swapped, &echo).is_err());

        // Another text, correctly compressed.
        let mut other = Deflater::new(Deflate::ContextTakeover);
        let frame = unmasked(&other.deflate(b"{}").unwrap(), true);
        assert!(Received::default().take(&frame, &echo).is_err());
    }

    #[test]
    fn an_uncompressed_echo_does_not_count_as_compressed() {
        let (echo, _) = compressed(0);
        let Echo::Compressed(texts, _) = &echo else {
            panic!("it is compressed");
        };
        let plain = unmasked(texts.text(0), false);
        assert!(Received::default().take(&plain, &echo).is_err());
    }

    #[test]
    fn uncompressed_echoes_are_compared_byte_by_byte() {
        let texts = Texts::json(1024, None);
        let mut bytes: Vec<u8> = (0..70)
            .flat_map(|n| unmasked(texts.text(n), false))
            .collect();
        let echo = Echo::new(texts, 1000);
        let mut received = Received::default();
        let counts = bytes
            .chunks(1000)
            .map(|read| received.take(read, &echo).unwrap());
        assert_eq!(counts.sum::<u64>(), 70);
        bytes[500] ^= 1;
        assert!(Received::default().take(&bytes[..1000], &echo).is_err());
    }
}
