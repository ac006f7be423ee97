//! Clients over any transport.

use std::io::{self, Read, Write};

use anyhow::Result;

use super::http2::{Http2, Http2Stream};
use super::{Client, Handshake};

/// The bytes of a connection.
pub(crate) trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

pub(crate) type AnyClient = Client<Box<dyn Wire>>;

/// The same client, whatever it talks over.
pub(crate) fn any<S: Wire + 'static>(client: Client<S>) -> AnyClient {
    client.map(|stream| Box::new(stream) as Box<dyn Wire>)
}

/// Opens a WebSocket over an HTTP/2 connection that serves nothing else.
pub(crate) fn alone(connection: Http2, handshake: &Handshake) -> Result<AnyClient> {
    let client = connection.open(handshake)?;
    Ok(any(client.map(|stream| Alone(stream, connection))))
}

/// A stream, and the connection that it needs.
struct Alone(
    Http2Stream,
    #[expect(dead_code, reason = "it is kept open")] Http2,
);

impl Read for Alone {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Alone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
