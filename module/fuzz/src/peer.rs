//! tungstenite: another implementation of the protocol, to compare with.

use std::io::{self, Read, Write};

use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Bytes, Message};

use crate::receive::Outcome;

/// A connection that delivers these bytes, then ends, and accepts all output.
struct Recorded<'a>(&'a [u8]);

impl Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The messages that tungstenite reads from the bytes sent to a client or server, up to the first
/// error, the close frame or the end. It allocates memory for the announced length of a frame.
#[must_use]
pub fn read(role: Role, bytes: &[u8], max_message_size: usize) -> Vec<Outcome> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(max_message_size))
        .max_frame_size(Some(max_message_size));
    let mut socket = WebSocket::from_raw_socket(Recorded(bytes), role, Some(config));
    let mut outcomes = Vec::new();
    while let Ok(message) = socket.read() {
        outcomes.push(match message {
            Message::Text(text) => Outcome::Text(text.as_str().to_owned()),
            Message::Binary(bytes) => Outcome::Binary(Bytes::into(bytes)),
            Message::Ping(payload) => Outcome::Ping(Bytes::into(payload)),
            Message::Pong(payload) => Outcome::Pong(Bytes::into(payload)),
            Message::Close(frame) => Outcome::Close(
                frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned())),
            ),
            Message::Frame(_) => unreachable!("only whole messages are read"),
        });
    }
    outcomes
}
