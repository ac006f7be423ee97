//! A client that opens one WebSocket, and says how far it came.

mod response;
mod socket;
mod stream;

use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

pub use self::response::Response;
pub use self::stream::Failure;
use self::stream::Stream;
use crate::url::Url;

/// The key of the example in RFC 6455, section 1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A ping with the payload "doctor" and a close frame with 1000, both with a masking key of zeros.
const PING: &[u8] = b"\x89\x86\0\0\0\0doctor";
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// What a pong to [`PING`] begins with, and a close frame.
const PONG: u8 = 0x8a;
const CLOSED: u8 = 0x88;

/// How to open the WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The URL.
    pub url: &'a Url,
    /// The page that it pretends to come from. `None`: no page, like a program.
    pub origin: Option<&'a str>,
    /// A file with certificates (PEM) to trust beside the system's.
    pub authorities: Option<&'a Path>,
    /// How long each step may take: to connect, to answer the handshake, to answer a ping.
    pub limit: Duration,
}

/// An open WebSocket, or the response that refuses it.
#[derive(Debug)]
pub struct Opening {
    /// The response to the handshake.
    pub response: Response,
    stream: Stream,
    limit: Duration,
}

impl Attempt<'_> {
    /// Sends the opening handshake, and waits for the response.
    ///
    /// # Errors
    /// There is no response; the failure says what has happened instead.
    pub fn open(&self) -> Result<Opening, Failure> {
        let limit = self.limit;
        let mut stream = Stream::connect(self)?;
        stream.allow(limit);
        stream.write_all(self.request().as_bytes())?;
        let response = Response::read(&mut stream)?;
        Ok(Opening {
            response,
            stream,
            limit,
        })
    }

    fn request(&self) -> String {
        let Self { url, origin, .. } = self;
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{origin}\
             User-Agent: mod_websocket-doctor\r\n\r\n",
            url.path,
            url.authority(),
        )
    }
}

impl Opening {
    /// Whether the server has accepted this handshake, and not only said 101.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.response.header("Sec-WebSocket-Accept") == Some(ACCEPT)
    }

    /// Sends a ping and waits for the pong, then closes the connection. What the plugin sends
    /// meanwhile is ignored.
    ///
    /// # Errors
    /// The connection has ended, or no pong comes in time, whatever else does.
    pub fn converse(mut self) -> Result<(), Failure> {
        self.stream.allow(self.limit);
        self.stream.write_all(PING)?;
        let beginning = std::mem::take(&mut self.response.rest);
        let mut frames = io::Cursor::new(beginning).chain(&mut self.stream);
        while skip_frame(&mut frames)? != PONG {}
        self.stream.write_all(CLOSE)?;
        Ok(())
    }
}

/// Reads one frame of the server, and returns its first byte.
fn skip_frame(frames: &mut impl Read) -> io::Result<u8> {
    let mut header = [0; 2];
    frames.read_exact(&mut header)?;
    let length = match header[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            frames.read_exact(&mut length)?;
            u16::from_be_bytes(length).into()
        }
        127 => {
            let mut length = [0; 8];
            frames.read_exact(&mut length)?;
            u64::from_be_bytes(length)
        }
        length => length.into(),
    };
    io::copy(&mut frames.take(length), &mut io::sink())?;
    if header[0] == CLOSED {
        return Err(ErrorKind::ConnectionAborted.into());
    }
    Ok(header[0])
}
