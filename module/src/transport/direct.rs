//! Bytes that go straight to and from a socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::Shutdown;

use super::stream::Stream;
use crate::httpd::conn::Conn;
use crate::httpd::socket::{Acknowledged, Socket};

/// The owner of a socket, which may want to know what happens to the socket's bytes.
pub trait Carrier: Send {
    /// The socket.
    fn socket(&self) -> &Socket;

    /// Counts bytes that were read from the socket.
    fn count_read(&mut self, _length: usize) {}

    /// Counts bytes that were written to the socket.
    fn count_written(&mut self, _length: usize) {}

    /// Gives up a client that is gone or does not read.
    fn abort(&mut self);
}

/// httpd counts bytes for its access log, and closes the connection.
impl Carrier for Conn {
    fn socket(&self) -> &Socket {
        self.socket()
    }

    fn count_read(&mut self, length: usize) {
        self.count_read(length);
    }

    fn count_written(&mut self, length: usize) {
        self.count_written(length);
    }

    fn abort(&mut self) {
        self.abort();
    }
}

/// Nothing else uses the socket.
impl Carrier for Socket {
    fn socket(&self) -> &Self {
        self
    }

    fn abort(&mut self) {
        self.shut_down(Shutdown::Both);
    }
}

/// The bytes of a socket, in both directions.
pub struct Direct<C> {
    carrier: C,
    /// Bytes that arrived right behind the request. `None` once a read has found no more of them.
    #[expect(clippy::box_collection, reason = "nearly every connection has none")]
    early: Option<Box<VecDeque<u8>>>,
    must_find_end: bool,
    acknowledged: Acknowledged,
}

impl<C: Carrier> Direct<C> {
    /// `early` holds the bytes that have arrived already. They are read first.
    #[must_use]
    pub fn new(carrier: C, early: VecDeque<u8>) -> Self {
        Self {
            carrier,
            early: (!early.is_empty()).then(|| Box::new(early)),
            must_find_end: false,
            acknowledged: Acknowledged::default(),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(early) = &mut self.early {
            let read = early.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.early = None;
        }
        Ok(self.carrier.socket().receive(buffer)?)
    }
}

impl<C: Carrier> Stream for Direct<C> {
    fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        self.carrier.socket().descriptor()
    }

    fn is_emptied_by_short_reads(&self) -> bool {
        self.early.is_none() && !self.must_find_end
    }

    fn find_end(&mut self) {
        self.must_find_end = true;
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.receive(buffer)?;
        self.carrier.count_read(read);
        Ok(read)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.carrier.socket().send(bytes)?;
        self.carrier.count_written(written);
        Ok(written)
    }

    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.carrier.socket().send_pieces(pieces)?;
        self.carrier.count_written(written);
        Ok(written)
    }

    fn has_progressed(&mut self) -> bool {
        self.acknowledged.has_grown(self.carrier.socket())
    }

    fn bytes_taken(&self) -> Option<u64> {
        Acknowledged::total(self.carrier.socket())
    }

    fn abort(&mut self) {
        self.carrier.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::{Carrier, Direct, Socket, Stream};
    use std::io::{ErrorKind, IoSlice, Read, Write};
    use std::os::unix::net::UnixStream;

    struct Counting {
        socket: Socket,
        counts: [usize; 2],
        is_aborted: bool,
    }

    impl Carrier for Counting {
        fn socket(&self) -> &Socket {
            &self.socket
        }

        fn count_read(&mut self, length: usize) {
            self.counts[0] += length;
        }

        fn count_written(&mut self, length: usize) {
            self.counts[1] += length;
        }

        fn abort(&mut self) {
            self.is_aborted = true;
        }
    }

    fn direct(early: &[u8]) -> (Direct<Counting>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let carrier = Counting {
            socket: Socket::new(std::os::fd::OwnedFd::from(ours)),
            counts: [0; 2],
            is_aborted: false,
        };
        (Direct::new(carrier, early.to_vec().into()), theirs)
    }

    #[test]
    fn early_bytes_come_first_and_short_reads_leave_some_until_then() {
        let (mut stream, mut theirs) = direct(b"early");
        theirs.write_all(b"late").unwrap();
        let mut buffer = [0; 8];
        for (piece, is_emptied) in [(&b"ear"[..], false), (b"ly", false), (b"lat", true)] {
            assert_eq!(stream.read(&mut buffer[..3]).unwrap(), piece.len());
            assert_eq!(&buffer[..piece.len()], piece);
            assert_eq!(stream.is_emptied_by_short_reads(), is_emptied);
        }
        assert_eq!(stream.read(&mut buffer).unwrap(), 1);
        let nothing = stream.read(&mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        assert_eq!(stream.carrier.counts, [9, 0]);
    }

    #[test]
    fn the_end_is_looked_for_when_it_is_known_to_come() {
        let (mut stream, theirs) = direct(b"");
        assert!(stream.is_emptied_by_short_reads());
        drop(theirs);
        stream.find_end();
        assert!(!stream.is_emptied_by_short_reads());
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn what_is_written_is_counted_and_never_held_back() {
        let (mut stream, mut theirs) = direct(b"");
        assert_eq!(stream.write(b"a message").unwrap(), 9);
        assert_eq!(
            stream
                .write_pieces(&[IoSlice::new(b"head"), IoSlice::new(b"er")])
                .unwrap(),
            6
        );
        assert!(stream.flush().unwrap());
        let mut bytes = [0; 32];
        assert_eq!(theirs.read(&mut bytes).unwrap(), 15);
        assert_eq!(stream.carrier.counts, [0, 15]);
    }

    #[test]
    fn giving_up_ends_both_directions_of_a_socket_nobody_else_has() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = Socket::new(std::os::fd::OwnedFd::from(ours));
        let mut stream = Direct::new(socket, std::collections::VecDeque::new());
        stream.abort();
        assert_eq!(theirs.read(&mut [0; 8]).unwrap(), 0);
        assert!(stream.write(b"a message").is_err());
        let (mut stream, _theirs) = direct(b"");
        stream.abort();
        assert!(stream.carrier.is_aborted);
    }
}
