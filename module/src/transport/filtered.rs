//! Bytes that pass through the filters of a connection (TLS, anything unknown).
//!
//! The core's filters are bypassed (`httpd/bottom.rs`) unless a module has put something next to
//! them. Then they get pieces small enough that the core output filter never waits for the client
//! (core_filters.c).

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::stream::{Stream, front};
use crate::httpd::bottom::Bottom;
use crate::httpd::brigades::Input;
use crate::httpd::conn::Conn;
use crate::httpd::filtered::FilteredConn;
use crate::httpd::socket::Acknowledged;

/// What is passed to the core output filter at a time: the most that fits one TLS record, far from
/// the 64 KiB (`FlushMaxThreshold`) at which it starts to block.
const PASS_SIZE: usize = 16 * 1024;

/// What is passed at a time where that filter is bypassed, and sent together.
const SEND_SIZE: usize = 4 * PASS_SIZE;

/// How often filters that have given nothing are asked again at a time.
const MOST_TRIES: usize = 16;

/// So many records, or pieces of them, are read at a time: a client decides how short they are, and
/// who sends to it waits meanwhile for the lock of the stream.
const MOST_PIECES: usize = 128;

/// So much is passed at a time, for the same reason.
const MOST_PASSED: usize = 1024 * 1024;

/// A connection's bytes in both directions, through its filters.
pub struct Filtered {
    conn: FilteredConn,
    acknowledged: Acknowledged,
    must_find_end: bool,
    /// There was nothing more when the filters were last asked.
    is_dry: bool,
}

impl Filtered {
    /// Takes over a connection that has left HTTP.
    #[must_use]
    pub fn new(conn: Conn) -> Self {
        Self {
            conn: FilteredConn::new(conn),
            acknowledged: Acknowledged::default(),
            must_find_end: false,
            is_dry: false,
        }
    }

    /// Reads until the buffer is full, there is nothing more or others should have their turn:
    /// mod_ssl gives 8 KiB at a time.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        self.is_dry = false;
        for _ in 0..MOST_PIECES {
            if filled == buffer.len() {
                break;
            }
            match self.read_piece(&mut buffer[filled..]) {
                // The end shows again, and so does a failure.
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) => {
                    self.is_dry = error.kind() == io::ErrorKind::WouldBlock;
                    if filled == 0 {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(filled)
    }

    /// A non-blocking read that finds nothing may succeed without bytes. So does the core filter's
    /// first read at the end of the client's bytes, which mod_ssl passes on as "try again"; the
    /// next one reports the end, of which the poller will not tell again. And mod_ssl says "try
    /// again" after each record without data (TLS 1.3 key updates), although more may have been
    /// read already. Before httpd 2.4.60 it refuses renegotiation, which it does not allow a
    /// client, only when it is asked again.
    ///
    /// A client may send such records for ever: [`io::ErrorKind::Interrupted`] after some.
    fn read_piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut has_moved = false;
        for _ in 0..MOST_TRIES {
            match self.read_brigade(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let moved = self.has_moved();
                    let may_tell = moved && self.conn.bottom().is_some();
                    if !self.look_again() && !self.holds_input() && !may_tell {
                        return Err(error);
                    }
                    has_moved |= moved;
                }
                result => {
                    // What comes behind these bytes counts for the next read.
                    self.has_moved();
                    return result;
                }
            }
        }
        Err(if has_moved {
            io::ErrorKind::Interrupted.into()
        } else {
            // The filters wait for more than there is.
            io::ErrorKind::WouldBlock.into()
        })
    }

    /// Whether bytes have moved since this was last asked. The core does not tell.
    fn has_moved(&mut self) -> bool {
        self.conn.bottom().is_none_or(Bottom::has_moved)
    }

    /// Whether the end is still to be found; then the next read asks the socket, whatever the last
    /// one found.
    fn look_again(&mut self) -> bool {
        if !mem::take(&mut self.must_find_end) {
            return false;
        }
        if let Some(bottom) = self.conn.bottom() {
            bottom.begin_read();
        }
        true
    }

    /// Whether there are bytes that a filter above the last has yet to take.
    fn holds_input(&mut self) -> bool {
        match self.conn.bottom() {
            Some(bottom) => bottom.holds_input(),
            None => self.conn.core_holds_input(),
        }
    }

    fn read_brigade(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.conn.read(buffer)? {
            Input::Bytes(length) => Ok(length),
            Input::End => Ok(0),
            Input::EndOfBody | Input::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Stream for Filtered {
    fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        self.conn.socket().descriptor()
    }

    fn is_emptied_by_short_reads(&self) -> bool {
        self.is_dry && !self.must_find_end
    }

    fn find_end(&mut self) {
        self.must_find_end = true;
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(bottom) = self.conn.bottom() {
            bottom.begin_read();
        }
        // Answers of mod_ssl that wait may keep the client from being read from. Failures show
        // again.
        let _ = self.flush();
        let mut result = self.fill(buffer);
        if let Some(bottom) = self.conn.bottom() {
            bottom.end_read();
            if bottom.is_held_back() {
                self.is_dry = false;
                result = result.map_err(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => io::ErrorKind::ResourceBusy.into(),
                    _ => error,
                });
            }
        }
        if result.as_ref().is_err_and(is_fatal) {
            // What mod_ssl has to say about it. The failure is reported, whatever comes of this.
            let _ = self.flush();
        }
        result
    }

    /// Passes on as many pieces as the client takes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = match self.conn.bottom() {
            Some(_) => SEND_SIZE,
            None => PASS_SIZE,
        };
        let mut passed = 0;
        let mut takes_more = self.flush()?;
        for piece in bytes.chunks(size) {
            if !takes_more {
                break;
            }
            self.conn.pass(piece)?;
            passed += piece.len();
            takes_more = self.flush()? && passed < MOST_PASSED;
        }
        if passed == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(passed)
    }

    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // Together, or mod_ssl would make a record of each.
        self.write(&front(pieces, SEND_SIZE))
    }

    fn flush(&mut self) -> io::Result<bool> {
        if !self.conn.flush_core()? {
            return Ok(false);
        }
        self.conn.bottom().map_or(Ok(true), Bottom::send)
    }

    fn has_progressed(&mut self) -> bool {
        // The core does not tell.
        let has_sent = self.conn.bottom().is_some_and(Bottom::has_progressed);
        let has_acknowledged = self.acknowledged.has_grown(self.conn.socket());
        has_sent || has_acknowledged
    }

    fn bytes_taken(&self) -> Option<u64> {
        Acknowledged::total(self.conn.socket())
    }

    fn abort(&mut self) {
        self.conn.abort();
    }
}

fn is_fatal(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ResourceBusy
    )
}
