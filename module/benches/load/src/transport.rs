//! A socket, with or without TLS, that never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustls::{ClientConnection, Stream};

/// The bytes of one connection.
#[derive(Debug)]
pub enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// In TLS records.
    Tls(Box<Tls>),
}

/// Bytes in both directions.
pub trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

/// TLS over a socket.
#[derive(Debug)]
pub struct Tls {
    /// Keys and half-read records.
    pub session: ClientConnection,
    /// Where records come from and go to.
    pub socket: TcpStream,
}

impl Transport {
    /// Reads what there is into `buffer`; `None` says that there is nothing at present.
    ///
    /// # Errors
    /// The server has closed the connection, or it is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = match self {
            Self::Plain(socket) => ready(socket.read(buffer))?,
            Self::Tls(tls) => tls.read(buffer)?,
        };
        match read {
            Some(0) => Err(ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }

    /// Takes bytes from the front of `bytes` and gives their number.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => Ok(ready(socket.write(bytes))?.unwrap_or(0)),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Whether bytes that were taken have not left yet; writing none pushes them on.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.session.wants_write())
    }

    /// The bytes both ways, with calls that wait, for as long as the socket has not been told to
    /// return at once.
    pub fn blocking(&mut self) -> Box<dyn ReadWrite + '_> {
        match self {
            Self::Plain(socket) => Box::new(socket),
            Self::Tls(tls) => Box::new(Stream::new(&mut tls.session, &mut tls.socket)),
        }
    }

    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// Makes all calls return at once from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.socket().set_nonblocking(true)
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            if let Some(n) = ready(self.session.reader().read(buffer))? {
                return Ok(Some(n));
            }
            if ready(self.session.read_tls(&mut self.socket))?.is_none() {
                return Ok(None);
            }
            self.session
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = self.session.writer().write(bytes)?;
        while self.session.wants_write() {
            if ready(self.session.write_tls(&mut self.socket))?.is_none() {
                break;
            }
            // There is room again for what did not fit.
            taken += self.session.writer().write(&bytes[taken..])?;
        }
        Ok(taken)
    }
}

/// The result of a call that may have had nothing to do.
fn ready(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
