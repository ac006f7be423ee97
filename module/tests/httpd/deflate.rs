//! Compression (RFC 7692). The client compresses and inflates with flate2 itself.

pub(crate) mod memory;
pub(crate) mod messages;
pub(crate) mod mistakes;
pub(crate) mod negotiation;
pub(crate) mod others;

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::support::frame::masked;
use crate::support::{Client, Context, Handshake, Opcode};

/// RSV1, which marks a compressed message.
pub(crate) const RSV1: u8 = 0x40;

/// The end of a message that its sender removes.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// One location with context takeover, and one without.
const TARGETS: [&str; 2] = ["/compressed", "/compressed/own"];

pub(crate) fn offer(target: &str, extensions: &str) -> Handshake {
    Handshake::to(target).and("Sec-WebSocket-Extensions", extensions)
}

/// A client that has negotiated compression.
pub(crate) struct Deflated<S> {
    pub(crate) client: Client<S>,
    compress: Compress,
    decompress: Decompress,
    /// Whether the client keeps its context between messages.
    keeps_own: bool,
    /// Whether the server keeps its context between messages.
    keeps_servers: bool,
}

impl Deflated<TcpStream> {
    fn open(context: &Context, target: &str, extensions: &str) -> Result<Self> {
        Self::open_with(context, &offer(target, extensions))
    }

    fn open_with(context: &Context, handshake: &Handshake) -> Result<Self> {
        Self::over(Client::connect(context.address()?)?, handshake)
    }
}

impl<S: Read + Write> Deflated<S> {
    pub(crate) fn over(mut client: Client<S>, handshake: &Handshake) -> Result<Self> {
        let response = client.upgrade(handshake)?;
        let agreed = response
            .header("Sec-WebSocket-Extensions")
            .context("not compressed")?;
        let window_bits = agreed
            .split_once("client_max_window_bits=")
            .map_or(Ok(15), |(_, bits)| bits.parse())?;
        Ok(Self {
            compress: Compress::new_with_window_bits(Compression::default(), false, window_bits),
            keeps_own: !agreed.contains("client_no_context_takeover"),
            keeps_servers: !agreed.contains("server_no_context_takeover"),
            ..Self::without_context(client)
        })
    }

    /// A client that has negotiated no context takeover.
    pub(crate) fn without_context(client: Client<S>) -> Self {
        Self {
            client,
            compress: Compress::new(Compression::default(), false),
            decompress: Decompress::new(false),
            keeps_own: false,
            keeps_servers: false,
        }
    }

    /// The payload of a compressed message.
    pub(crate) fn deflate(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        if message.is_empty() {
            // Section 7.2.3.6: a stream that has just been flushed outputs nothing for an empty
            // message.
            return Ok(vec![0]);
        }
        if !self.keeps_own {
            self.compress.reset();
        }
        let mut payload = Vec::with_capacity(message.len() * 2 + 64);
        self.compress
            .compress_vec(message, &mut payload, FlushCompress::Sync)?;
        ensure!(payload.ends_with(&TAIL), "not flushed");
        payload.truncate(payload.len() - TAIL.len());
        Ok(payload)
    }

    pub(crate) fn send(&mut self, opcode: u8, message: &[u8]) -> Result<()> {
        let payload = self.deflate(message)?;
        self.client.send(masked(opcode | RSV1, payload))
    }

    /// The next message, and the length of its frame's payload. It must be compressed.
    fn receive(&mut self, opcode: u8) -> Result<(Vec<u8>, usize)> {
        let frame = self.client.frame()?;
        ensure!(
            frame.first_byte == opcode | RSV1,
            "not a compressed message: {frame:?}"
        );
        Ok((self.inflate(&frame.payload)?, frame.payload.len()))
    }

    /// The next message, in any number of fragments, compressed or not.
    pub(crate) fn message(&mut self, opcode: u8) -> Result<Vec<u8>> {
        let mut frame = self.client.frame()?;
        let first = frame.first_byte | 0x80;
        let mut payload = frame.payload;
        while frame.first_byte & 0x80 == 0 {
            frame = self.client.frame()?;
            ensure!(frame.first_byte & 0x7f == 0, "{frame:?}");
            payload.extend(std::mem::take(&mut frame.payload));
        }
        if first == opcode {
            return Ok(payload);
        }
        ensure!(first == opcode | RSV1, "{first:#x}");
        self.inflate(&payload)
    }

    /// The next message, compressed or not. Pings are answered.
    pub(crate) fn receive_any(&mut self, opcode: u8) -> Result<Vec<u8>> {
        let frame = self.client.frame_behind_pings()?;
        if frame.first_byte == opcode {
            return Ok(frame.payload);
        }
        ensure!(frame.first_byte == opcode | RSV1, "{frame:?}");
        self.inflate(&frame.payload)
    }

    fn inflate(&mut self, payload: &[u8]) -> Result<Vec<u8>> {
        if !self.keeps_servers {
            self.decompress.reset(false);
        }
        let mut message = Vec::with_capacity(64 * 1024);
        let input = [payload, &TAIL].concat();
        let before = self.decompress.total_in();
        loop {
            let consumed = usize::try_from(self.decompress.total_in() - before)?;
            self.decompress.decompress_vec(
                &input[consumed..],
                &mut message,
                FlushDecompress::Sync,
            )?;
            if message.len() < message.capacity() {
                return Ok(message);
            }
            message.reserve(message.len());
        }
    }

    /// Sends a message and expects the same back, compressed. Returns the compressed length.
    fn echo(&mut self, opcode: u8, message: &[u8]) -> Result<usize> {
        self.send(opcode, message)?;
        let (received, length) = self.receive(opcode)?;
        if received != message {
            bail!("{} bytes instead of {}", received.len(), message.len());
        }
        Ok(length)
    }

    fn echo_text(&mut self, text: &str) -> Result<usize> {
        self.echo(Opcode::TEXT, text.as_bytes())
    }
}

/// A text that compresses, but not by references to a text with another number.
pub(crate) fn text(number: u32, length: usize) -> String {
    let mut random = number + 1;
    let mut text = String::new();
    while text.len() < length {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text += &format!("{:06x}", random >> 8);
    }
    text.truncate(length);
    text
}
