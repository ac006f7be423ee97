//! How many of the sent bytes a client has acknowledged.
//!
//! A full socket takes bytes again only when the client has taken many: it is writable when a third
//! of its buffer is free, and accepts bytes when there is room for a whole packet. So for a long
//! time a slow client looks like one that does not read at all. TCP's acknowledgements show the
//! difference.

use std::mem;
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes the client of a socket had acknowledged at the last look.
#[derive(Default)]
pub struct Acknowledged(u64);

impl Acknowledged {
    /// Whether the number has grown since the last call. Always false on a socket that does not
    /// count acknowledged bytes.
    pub fn has_grown(&mut self, socket: impl AsFd) -> bool {
        let Some(total) = Self::total(socket) else {
            return false;
        };
        mem::replace(&mut self.0, total) != total
    }

    /// How many bytes the client of a socket has acknowledged so far. `None` on a socket that does
    /// not count them.
    pub fn total(socket: impl AsFd) -> Option<u64> {
        total(socket)
    }
}

fn total(socket: impl AsFd) -> Option<u64> {
    const END: usize = mem::offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
    // SAFETY: zeros are a valid `tcp_info`, of which the system fills in `length` bytes at most.
    unsafe {
        let mut info: libc::tcp_info = mem::zeroed();
        let mut length = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
        let failure = libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        );
        (failure == 0 && length as usize >= END).then_some(info.tcpi_bytes_acked)
    }
}

#[cfg(test)]
mod tests {
    use super::Acknowledged;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_count_when_the_client_has_taken_them() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut acknowledged = Acknowledged::default();
        acknowledged.has_grown(&server);
        assert!(!acknowledged.has_grown(&server));

        server.set_nonblocking(true).unwrap();
        while server.write(&[0; 65536]).is_ok() {}
        acknowledged.has_grown(&server);
        assert!(!acknowledged.has_grown(&server));

        let mut bytes = vec![0; 1 << 20];
        client.read_exact(&mut bytes).unwrap();
        while !acknowledged.has_grown(&server) {
            client.read_exact(&mut bytes[..1000]).unwrap();
        }
    }

    #[test]
    fn other_sockets_do_not_count() {
        let (mut ours, _theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"hello").unwrap();
        assert!(!Acknowledged::default().has_grown(&ours));
    }
}
