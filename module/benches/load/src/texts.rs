//! What is sent, over and over, and in which form.

use anyhow::Result;

use crate::deflate::{Deflate, Deflater};
use crate::frames::{Stream, masked, unmasked};
use crate::json;

/// As much as two windows of a compressor: a text is not to be found when it comes again, or
/// the window would compress it to nothing.
const PERIOD: usize = 64 * 1024;

/// The texts of all messages, in the order of sending; behind the last comes the first again.
#[derive(Debug)]
pub struct Texts {
    texts: Vec<Vec<u8>>,
    size: usize,
    deflate: Option<Deflate>,
}

impl Texts {
    /// One text of `size` bytes of printable ASCII. Its period of 95 fits no power of two, so that
    /// bytes in the wrong place show.
    #[must_use]
    pub fn ascii(size: usize) -> Self {
        let text = (b' '..=b'~').cycle().take(size).collect();
        Self {
            texts: vec![text],
            size,
            deflate: None,
        }
    }

    /// JSON, `size` bytes each; compressed if `deflate` says how.
    #[must_use]
    pub fn json(size: usize, deflate: Option<Deflate>) -> Self {
        let count = PERIOD.div_ceil(size);
        Self {
            texts: (0..count).map(|number| json::text(number, size)).collect(),
            size,
            deflate,
        }
    }

    /// How they are compressed, if they are.
    #[must_use]
    pub fn deflate(&self) -> Option<Deflate> {
        self.deflate
    }

    /// How long each is.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The text of the `number`-th message, counted from 0.
    #[must_use]
    pub fn text(&self, number: u64) -> &[u8] {
        // Less than the number of texts, which is a usize.
        let index = usize::try_from(number % self.texts.len() as u64).unwrap_or_default();
        &self.texts[index]
    }

    /// What the client sends. `window` bytes of it can be looked at in one piece.
    ///
    /// It is compressed here, ahead of the run. With context takeover the texts are compressed
    /// twice, one time after the other: the second time each refers to what precedes it in every
    /// later round too, so these frames can be repeated for ever.
    ///
    /// # Errors
    /// The compressor fails.
    pub fn outgoing(&self, window: usize) -> Result<Stream> {
        let Some(deflate) = self.deflate else {
            let frames = self.texts.iter().map(|text| masked(text, false));
            return Ok(Stream::new(&[], &frames.collect::<Vec<_>>(), window));
        };
        let mut deflater = Deflater::new(deflate);
        let mut compress_all = || -> Result<Vec<Vec<u8>>> {
            let frames = self.texts.iter().map(|text| {
                let payload = deflater.deflate(text)?;
                Ok(masked(&payload, true))
            });
            frames.collect()
        };
        let (first, again) = (compress_all()?, compress_all()?);
        Ok(Stream::new(&first, &again, window))
    }

    /// What comes back, unless it is compressed.
    #[must_use]
    pub fn echoes(&self, window: usize) -> Stream {
        let frames = self.texts.iter().map(|text| unmasked(text, false));
        Stream::new(&[], &frames.collect::<Vec<_>>(), window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::Inflater;
    use crate::frames::MASKING_KEY;

    #[test]
    fn compressed_frames_inflate_to_their_texts_round_after_round() {
        for deflate in [Deflate::NoContextTakeover, Deflate::ContextTakeover] {
            let texts = Texts::json(1024, Some(deflate));
            let stream = texts.outgoing(2048).unwrap();
            let mut inflater = Inflater::new(deflate, 1024);
            for message in 0..300 {
                let (start, end) = (stream.position(message), stream.position(message + 1));
                let frame = stream.slice(start, usize::try_from(end - start).unwrap());
                assert_eq!(frame[..2], [0xc1, 0x80 | 126]);
                let payload: Vec<u8> = frame[8..]
                    .iter()
                    .zip(MASKING_KEY.iter().cycle())
                    .map(|(byte, key)| byte ^ key)
                    .collect();
                assert_eq!(inflater.inflate(&payload).unwrap(), texts.text(message));
            }
        }
    }

    #[test]
    fn a_context_is_worth_something_and_no_text_is_found_again() {
        let per_text = |deflate| {
            let stream = Texts::json(1024, Some(deflate)).outgoing(1).unwrap();
            (stream.position(192) - stream.position(128)) / 64
        };
        let (without, with) = (
            per_text(Deflate::NoContextTakeover),
            per_text(Deflate::ContextTakeover),
        );
        assert!((350..500).contains(&without), "{without}");
        assert!((150..without - 50).contains(&with), "{with}");
    }
}
