//! permessage-deflate as a client does it (RFC 7692).

use anyhow::{Context, Result, ensure};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What every compressed message ends with and no frame contains (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Whether messages refer to those before them, in both directions alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Deflate {
    /// Each is compressed by itself.
    NoContextTakeover,
    /// They do.
    ContextTakeover,
}

impl Deflate {
    /// What the client offers: everything is left to the server.
    pub const OFFER: &str = "permessage-deflate";

    /// Whether the server's answer to the opening handshake agrees to just this.
    ///
    /// # Errors
    /// It does not.
    pub fn check_answer(self, head: &str) -> Result<()> {
        let agreed = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(name, value)| {
                let is_it = name.eq_ignore_ascii_case("Sec-WebSocket-Extensions");
                is_it.then_some(value)
            })
            .context("the server does not agree to compress")?;
        let mut agreed: Vec<&str> = agreed.split(';').map(str::trim).collect();
        agreed.sort_unstable();
        let expected: &[&str] = match self {
            Self::NoContextTakeover => &[
                "client_no_context_takeover",
                Self::OFFER,
                "server_no_context_takeover",
            ],
            Self::ContextTakeover => &[Self::OFFER],
        };
        ensure!(agreed == expected, "the server agrees to {agreed:?}");
        Ok(())
    }
}

/// Compresses a client's messages.
#[derive(Debug)]
pub struct Deflater {
    compress: Compress,
    deflate: Deflate,
}

impl Deflater {
    /// One that has compressed nothing yet.
    #[must_use]
    pub fn new(deflate: Deflate) -> Self {
        Self {
            compress: Compress::new(Compression::default(), false),
            deflate,
        }
    }

    /// The payload of the next message.
    ///
    /// # Errors
    /// The library fails.
    pub fn deflate(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        if self.deflate == Deflate::NoContextTakeover {
            self.compress.reset();
        }
        // More than any text becomes, so that one call is enough.
        let mut payload = Vec::with_capacity(text.len() + text.len() / 8 + 64);
        self.compress
            .compress_vec(text, &mut payload, FlushCompress::Sync)?;
        ensure!(payload.ends_with(&TAIL), "the compressor has not finished");
        payload.truncate(payload.len() - TAIL.len());
        Ok(payload)
    }
}

/// Inflates a server's messages.
#[derive(Debug)]
pub struct Inflater {
    decompress: Decompress,
    deflate: Deflate,
    text: Vec<u8>,
}

impl Inflater {
    /// One for texts of at most `size` bytes.
    #[must_use]
    pub fn new(deflate: Deflate, size: usize) -> Self {
        Self {
            decompress: Decompress::new(false),
            deflate,
            // With a byte to spare the library sees the end of what it has to write.
            text: Vec::with_capacity(size + 1),
        }
    }

    /// The text of the next message, as much of it as was expected at most.
    ///
    /// # Errors
    /// This is no compressed message.
    pub fn inflate(&mut self, payload: &[u8]) -> Result<&[u8]> {
        if self.deflate == Deflate::NoContextTakeover {
            self.decompress.reset(false);
        }
        self.text.clear();
        for input in [payload, &TAIL] {
            self.decompress
                .decompress_vec(input, &mut self.text, FlushDecompress::Sync)?;
        }
        Ok(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Deflate::{ContextTakeover, NoContextTakeover};

    #[test]
    fn only_the_answer_asked_for_will_do() {
        for (header, without, with) in [
            ("", false, false),
            (
                "Sec-WebSocket-Extensions: permessage-deflate\r\n",
                false,
                true,
            ),
            (
                "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
                 client_no_context_takeover\r\n",
                true,
                false,
            ),
            (
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
                false,
                false,
            ),
            (
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n",
                false,
                false,
            ),
        ] {
            let head = format!("HTTP/1.1 101 Switching Protocols\r\n{header}\r\n");
            let answered = |deflate: Deflate| deflate.check_answer(&head).is_ok();
            assert_eq!(answered(NoContextTakeover), without, "{header}");
            assert_eq!(answered(ContextTakeover), with, "{header}");
        }
    }

    #[test]
    fn what_was_deflated_inflates_again() {
        let text = b"a text, a text, a text and again the same text";
        for deflate in [NoContextTakeover, ContextTakeover] {
            let (mut deflater, mut inflater) =
                (Deflater::new(deflate), Inflater::new(deflate, text.len()));
            let payloads = [0; 3].map(|_| deflater.deflate(text).unwrap());
            for payload in &payloads {
                assert_eq!(inflater.inflate(payload).unwrap(), text);
            }
            let is_shorter = payloads[1].len() < payloads[0].len();
            assert_eq!(is_shorter, deflate == ContextTakeover);
        }
    }

    #[test]
    fn a_longer_text_is_not_taken_for_the_one_expected() {
        let mut inflater = Inflater::new(NoContextTakeover, 4);
        let payload = Deflater::new(NoContextTakeover).deflate(b"12345").unwrap();
        assert_ne!(inflater.inflate(&payload).unwrap(), b"1234");
        assert!(inflater.inflate(&[0xff; 9]).is_err());
    }
}
