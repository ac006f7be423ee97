//! The bytes on their way between a socket and the lowest filters.

use std::cell::Cell;
use std::io;
use std::mem;

use rustix::io::Errno;

use crate::buffers;
use crate::httpd::socket::Socket;
use crate::httpd::sys;

/// Bytes read at a time: four TLS records of the greatest length.
const READ_SIZE: usize = 4 * (16 * 1024 + 256);

/// While more bytes than this wait to be sent, nothing more is read. mod_ssl answers some records
/// by itself (key updates, refused handshakes), and a client need not read the answers.
const COLLECT_LIMIT: usize = 256 * 1024;

thread_local! {
    static RECEIVED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static COLLECTED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The data that both filters of a connection work on.
pub(super) struct Channel {
    socket: Socket,
    /// The core input filter holds no more bytes that arrived right behind the request.
    pub(super) is_core_drained: bool,
    /// The current read has emptied the socket.
    is_dry: bool,
    /// The current read got nothing more because the client must take output first.
    is_held_back: bool,
    /// Bytes were received or taken since the last call of [`has_moved`](Self::has_moved).
    has_moved: bool,
    /// Received bytes. Those before `taken` have gone to the filters above.
    received: Vec<u8>,
    taken: usize,
    /// Bytes to send. Those before `sent` have been sent.
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

    /// Notes that a read begins.
    pub(super) fn begin_read(&mut self) {
        self.is_dry = false;
        self.is_held_back = false;
    }

    /// Whether the filters above, which have given nothing, could get more bytes if they were asked
    /// again.
    pub(super) fn holds_input(&self) -> bool {
        !self.is_held_back && (self.taken < self.received.len() || !self.is_dry)
    }

    /// Whether the filters above get no more bytes until the client has taken output.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// Whether bytes have been received, or taken by the filters above, since the last call.
    pub(super) fn has_moved(&mut self) -> bool {
        mem::take(&mut self.has_moved)
    }

    /// Whether bytes were sent since the last call.
    pub(super) fn has_progressed(&mut self) -> bool {
        mem::take(&mut self.has_progressed)
    }

    /// Bytes that the client has sent, `wanted` at most. They stay here until they are
    /// [taken](Self::take).
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

    /// Notes that `length` bytes have gone to the filters above.
    pub(super) fn take(&mut self, length: usize) {
        self.taken += length;
        self.has_moved = true;
    }

    /// Notes that bytes have gone to the filters above without passing through this channel.
    pub(super) fn note_move(&mut self) {
        self.has_moved = true;
    }

    /// Receives bytes and appends them to those held.
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
            // A filter looks further ahead than any record is long.
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

    /// Ends a read: frees the buffer if it is empty.
    pub(super) fn release(&mut self) {
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
            buffers::recycle(&RECEIVED, &mut self.received);
        }
    }

    /// Whether so many bytes wait for the client that it must take some before more is read from
    /// it.
    pub(super) fn must_send_first(&mut self) -> bool {
        let is_over = |channel: &Self| channel.collected.len() - channel.sent > COLLECT_LIMIT;
        if is_over(self) {
            // The client may take it at once. A failure shows again when the rest is sent.
            let _ = self.send();
        }
        self.is_held_back = is_over(self);
        self.is_held_back
    }

    /// Keeps bytes to send later.
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
