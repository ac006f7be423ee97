//! The bytes on their way between a socket and the filters at the bottom.

use std::cell::Cell;
use std::io;
use std::mem;

use rustix::io::Errno;

use crate::buffers;
use crate::httpd::socket::Socket;
use crate::httpd::sys;

/// So much is read at a time: the longest records of TLS, four of them.
const READ_SIZE: usize = 4 * (16 * 1024 + 256);

/// With so many bytes waiting to be sent nothing more is read: mod_ssl answers some records by
/// itself (changes of keys, handshakes that are refused), and a client need not read the answers.
const COLLECT_LIMIT: usize = 256 * 1024;

thread_local! {
    static RECEIVED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static COLLECTED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What both filters of a connection work on.
pub(super) struct Channel {
    socket: Socket,
    /// The core input filter has no more bytes that came right behind the request.
    pub(super) is_core_drained: bool,
    /// The socket was emptied by the read that goes on.
    is_dry: bool,
    /// The read that goes on got nothing more because the client has to take output first.
    is_held_back: bool,
    /// Bytes were received or taken since this was last asked.
    has_moved: bool,
    /// Received and taken up to `taken`.
    received: Vec<u8>,
    taken: usize,
    /// To be sent, and sent up to `sent`.
    collected: Vec<u8>,
    sent: usize,
    has_progressed: bool,
    /// Bytes sent so far.
    pub(super) total: i64,
}

impl Channel {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            is_core_drained: false,
            is_dry: false,
            is_held_back: false,
            has_moved: false,
            received: Vec::new(),
            taken: 0,
            collected: Vec::new(),
            sent: 0,
            has_progressed: false,
            total: 0,
        }
    }

    /// A read begins.
    pub(super) fn begin_read(&mut self) {
        self.is_dry = false;
        self.is_held_back = false;
    }

    /// Whether the filters above, which have given nothing, would get more bytes if they were asked
    /// again.
    pub(super) fn holds_input(&self) -> bool {
        !self.is_held_back && (self.taken < self.received.len() || !self.is_dry)
    }

    /// Whether there may be more bytes, which the filters above get when the client has taken
    /// output.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// Whether bytes have moved since this was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        mem::take(&mut self.has_moved)
    }

    /// Whether something was sent since this was last asked.
    pub(super) fn has_progressed(&mut self) -> bool {
        mem::take(&mut self.has_progressed)
    }

    /// At most so many bytes that the client has sent, to be [taken](Self::take).
    pub(super) fn bytes(&mut self, wanted: usize) -> Result<&[u8], sys::apr_status_t> {
        let held = self.received.len() - self.taken;
        if held < wanted && (held == 0 || !self.is_dry) {
            match self.receive() {
                Err(_) if held > 0 => {}
                result => result?,
            }
        }
        let rest = &self.received[self.taken..];
        Ok(&rest[..rest.len().min(wanted)])
    }

    /// So many bytes are gone to the filters above.
    pub(super) fn take(&mut self, length: usize) {
        self.taken += length;
        self.has_moved = true;
    }

    /// Bytes have gone to the filters above without this channel.
    pub(super) fn note_move(&mut self) {
        self.has_moved = true;
    }

    /// Receives behind what is held.
    fn receive(&mut self) -> Result<(), sys::apr_status_t> {
        if self.is_dry {
            return Err(sys::APR_EAGAIN);
        }
        if self.received.capacity() == 0 {
            self.received = buffers::kept(&RECEIVED);
            self.received.reserve_exact(READ_SIZE);
        }
        self.received.drain(..self.taken);
        self.taken = 0;
        let free = self.received.capacity() - self.received.len();
        if free == 0 {
            // Somebody looks further ahead than any record is long.
            return Err(sys::APR_EAGAIN);
        }
        let space = rustix::buffer::spare_capacity(&mut self.received);
        match self.socket.receive(space) {
            Ok(0) => Err(sys::APR_EOF),
            Ok(length) => {
                self.is_dry = length < free;
                self.has_moved = true;
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.is_dry = true;
                Err(sys::APR_EAGAIN)
            }
            Err(error) => Err(error.raw_os_error()),
        }
    }

    /// A read has ended: frees the buffer if it is empty.
    pub(super) fn release(&mut self) {
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
            buffers::recycle(&RECEIVED, &mut self.received);
        }
    }

    /// Whether so much waits for the client that it has to take some of it before it is read from.
    pub(super) fn must_send_first(&mut self) -> bool {
        let is_over = |channel: &Self| channel.collected.len() - channel.sent > COLLECT_LIMIT;
        if is_over(self) {
            // It may take it at once. A failure shows when it is sent again.
            let _ = self.send();
        }
        self.is_held_back = is_over(self);
        self.is_held_back
    }

    /// Keeps bytes that are to be sent.
    pub(super) fn collect(&mut self, bytes: &[u8]) {
        if self.collected.capacity() == 0 {
            self.collected = buffers::kept(&COLLECTED);
        }
        self.collected.extend_from_slice(bytes);
    }

    /// Sends what was collected. Returns whether nothing is left.
    pub(super) fn send(&mut self) -> io::Result<bool> {
        while self.sent < self.collected.len() {
            match self.socket.send(&self.collected[self.sent..]) {
                Ok(sent) => {
                    self.sent += sent;
                    self.has_progressed = true;
                    self.total += i64::try_from(sent).unwrap_or(0);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.collected.clear();
        self.sent = 0;
        buffers::recycle(&COLLECTED, &mut self.collected);
        Ok(true)
    }
}
