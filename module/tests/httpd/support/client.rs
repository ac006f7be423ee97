//! A client that the tests control: it sends any bytes at any moment, and waits for what the test
//! expects.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::PATIENCE;
use super::frame::{Frame, Opcode, masked};
use super::handshake::{Handshake, Response};

/// A connection to the server.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    /// Bytes that have been read but not used yet.
    buffer: Vec<u8>,
}

impl Client {
    /// Connects without sending anything.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        Self::prepare(TcpStream::connect(address)?)
    }

    /// Like [`Client::connect`], with a receive buffer of about this many bytes.
    ///
    /// The size is set before the server learns how much it may send. If it were reduced later, the
    /// system would drop bytes that do not fit, and the server would send them again at growing
    /// intervals.
    pub(crate) fn connect_with_buffer(address: SocketAddr, size: usize) -> Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
        sockopt::set_socket_recv_buffer_size(&socket, size)?;
        rustix::net::connect(&socket, &address)?;
        Self::prepare(socket.into())
    }

    fn prepare(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }

    /// Opens a WebSocket.
    pub(crate) fn open(address: SocketAddr, handshake: &Handshake) -> Result<Self> {
        let mut client = Self::connect(address)?;
        client.upgrade(handshake)?;
        Ok(client)
    }

    /// Sends a handshake and returns the response, whichever it is.
    pub(crate) fn ask(address: SocketAddr, handshake: &Handshake) -> Result<Response> {
        let mut client = Self::connect(address)?;
        client.send(handshake.to_bytes())?;
        client.response()
    }

    /// Shuts down sending, but still reads.
    pub(crate) fn half_close(&self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(self) -> Result<()> {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))?;
        Ok(())
    }
}

impl<S> Client<S> {
    /// The same client with its stream in another form.
    pub(crate) fn map<T>(self, form: impl FnOnce(S) -> T) -> Client<T> {
        Client {
            stream: form(self.stream),
            buffer: self.buffer,
        }
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn upgrade(&mut self, handshake: &Handshake) -> Result<Response> {
        self.send(handshake.to_bytes())?;
        let response = self.response()?;
        ensure!(response.status == 101, "not upgraded: {response:?}");
        Ok(response)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        Ok(self.stream.flush()?)
    }

    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.send(masked(Opcode::TEXT, text))
    }

    pub(crate) fn binary(&mut self, payload: impl AsRef<[u8]>) -> Result<()> {
        self.send(masked(Opcode::BINARY, payload))
    }

    /// The head of the next HTTP response.
    pub(crate) fn response(&mut self) -> Result<Response> {
        const END: &[u8] = b"\r\n\r\n";
        let end = loop {
            if let Some(at) = self
                .buffer
                .windows(END.len())
                .position(|window| window == END)
            {
                break at;
            }
            ensure!(self.fill()? > 0, "no HTTP response: {:?}", self.pending());
        };
        let head = self.take(end + END.len());
        Response::parse(&String::from_utf8_lossy(&head[..end]))
    }

    /// The next HTTP response, with its body. It must have a Content-Length.
    pub(crate) fn page(&mut self) -> Result<(Response, String)> {
        let response = self.response()?;
        let length = response.header("Content-Length").context("no length")?;
        let length: usize = length.parse()?;
        while self.buffer.len() < length {
            ensure!(self.fill()? > 0, "half a page: {:?}", self.pending());
        }
        let body = self.take(length)[..length].to_vec();
        Ok((response, String::from_utf8(body)?))
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Result<Frame> {
        self.next_frame()?
            .context("the connection ended where a frame was due")
    }

    /// The next frame, or `None` if the connection has ended.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some((frame, length)) = Frame::decode(&self.buffer) {
                self.take(length);
                return Ok(Some(frame));
            }
            if self.fill()? == 0 {
                ensure!(self.buffer.is_empty(), "half a frame: {:?}", self.pending());
                return Ok(None);
            }
        }
    }

    /// The next frame that is no ping. Answers pings: on a busy machine the client may have been
    /// silent for as long as the server lets it.
    pub(crate) fn frame_behind_pings(&mut self) -> Result<Frame> {
        let started = Instant::now();
        loop {
            let frame = self.frame()?;
            if frame.first_byte != Opcode::PING {
                return Ok(frame);
            }
            ensure!(started.elapsed() < PATIENCE, "nothing but pings");
            self.send(masked(Opcode::PONG, frame.payload))?;
        }
    }

    /// The payload of the next frame, which must be text. Pings are answered.
    pub(crate) fn next_text(&mut self) -> Result<String> {
        let frame = self.frame_behind_pings()?;
        ensure!(frame.first_byte == Opcode::TEXT, "not a text: {frame:?}");
        Ok(String::from_utf8(frame.payload)?)
    }

    /// Waits for this frame. Pings that come before it are answered, unless it is one.
    pub(crate) fn expect(&mut self, expected: &Frame) -> Result<()> {
        let frame = if expected.first_byte == Opcode::PING {
            self.frame()?
        } else {
            self.frame_behind_pings()?
        };
        ensure!(frame == *expected, "{frame:?} instead of {expected:?}");
        Ok(())
    }

    pub(crate) fn expect_text(&mut self, expected: impl AsRef<[u8]>) -> Result<()> {
        self.expect(&Frame::text(expected))
    }

    /// Sends a text and expects the same text.
    pub(crate) fn echo(&mut self, text: &str) -> Result<()> {
        self.text(text)?;
        self.expect_text(text)
    }

    /// Waits for the end of the connection, in order or with a reset. No frame may come before it.
    pub(crate) fn expect_end(&mut self) -> Result<()> {
        match self.next_frame() {
            Ok(Some(frame)) => bail!("a frame where the connection should end: {frame:?}"),
            Ok(None) => Ok(()),
            Err(error) if is_reset(&error) => Ok(()),
            Err(error) => Err(error.context("the connection should end")),
        }
    }

    /// Waits for a close frame with this status code, then for the end.
    pub(crate) fn expect_close(&mut self, status: u16) -> Result<()> {
        self.expect(&Frame::close(status))?;
        self.expect_end()
    }

    /// Closes, and waits for the answer and the end.
    pub(crate) fn close(mut self) -> Result<()> {
        self.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
        self.expect_close(1000)
    }

    /// All bytes until the connection ends in order.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads and drops everything until the connection ends. Returns the number of bytes.
    pub(crate) fn drain(&mut self) -> Result<u64> {
        let mut total = self.buffer.len() as u64;
        self.buffer.clear();
        let mut bytes = vec![0; 1 << 16];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(total),
                Ok(read) => total += read as u64,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(total),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn fill(&mut self) -> Result<usize> {
        let mut bytes = [0; 1 << 16];
        let started = Instant::now();
        let read = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let read = read.with_context(|| {
            format!(
                "after {:?}, with {:?} read",
                started.elapsed(),
                self.pending()
            )
        })?;
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn pending(&self) -> String {
        let start = self.buffer.get(..80).unwrap_or(&self.buffer);
        String::from_utf8_lossy(start).into_owned()
    }
}

/// Whether the connection was reset.
pub(crate) fn is_reset(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    })
}
