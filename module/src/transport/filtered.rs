//! Bytes that pass through a connection's filters (TLS, or any filter this module does not know).
//!
//! The core's filters are bypassed (`httpd/bottom.rs`), unless another module has put a filter next
//! to them. In that case they get pieces so small that the core output filter never waits for the
//! client (core_filters.c).

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::stream::{Stream, front};
use crate::httpd::bottom::Bottom;
use crate::httpd::brigades::Input;
use crate::httpd::conn::Conn;
use crate::httpd::filtered::FilteredConn;
use crate::httpd::gate;
use crate::httpd::socket::Acknowledged;

/// Most bytes passed to the core output filter at a time. They fill one TLS record, and are far
/// fewer than the 64 KiB (`FlushMaxThreshold`) at which that filter begins to block.
const PASS_SIZE: usize = 16 * 1024;

/// Most bytes passed at a time where that filter is bypassed. They are sent together.
const SEND_SIZE: usize = 4 * PASS_SIZE;

/// How often in a row to ask filters again that have given nothing.
const MOST_TRIES: usize = 16;

/// Most records, or pieces of records, read at a time. The client decides how short its records
/// are, and other threads that send to it wait for the stream's lock meanwhile.
const MOST_PIECES: usize = 128;

/// Most bytes passed in one call, for the same reason.
const MOST_PASSED: usize = 1024 * 1024;

/// A connection's bytes in both directions, through its filters.
pub struct Filtered {
    conn: FilteredConn,
    acknowledged: Acknowledged,
    must_find_end: bool,
    /// The filters had nothing more when they were last asked.
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

    /// Reads until the buffer is full, the filters have nothing more, or [`MOST_PIECES`] were read.
    /// mod_ssl gives 8 KiB at a time.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        self.is_dry = false;
        for _ in 0..MOST_PIECES {
            if filled == buffer.len() {
                break;
            }
            match self.read_piece(&mut buffer[filled..]) {
                // The next read reports the end or the failure again.
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

    /// Reads one piece. Asks the filters again where "nothing" may not be their last word:
    ///
    /// * A non-blocking read that finds nothing may succeed without bytes.
    /// * At the end of the client's bytes the core input filter does that once, which mod_ssl
    ///   passes on as "try again". Only the next read reports the end, and the poller will not
    ///   report it again.
    /// * mod_ssl says "try again" after each record without data (TLS 1.3 key updates), although
    ///   more may have been read already.
    /// * Before httpd 2.4.60, mod_ssl refuses a renegotiation, which it does not allow a client,
    ///   only when it is asked again.
    ///
    /// A client may send records without data for ever. After [`MOST_TRIES`] the result is
    /// [`io::ErrorKind::Interrupted`].
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
                    // Bytes that move from now on count for the next read.
                    self.has_moved();
                    return result;
                }
            }
        }
        Err(if has_moved {
            io::ErrorKind::Interrupted.into()
        } else {
            // The filters wait for more bytes than have arrived.
            io::ErrorKind::WouldBlock.into()
        })
    }

    /// Whether bytes have moved since the last call. The core's filters do not tell; for them the
    /// answer is yes.
    fn has_moved(&mut self) -> bool {
        self.conn.bottom().is_none_or(Bottom::has_moved)
    }

    /// Whether the end of the client's bytes is still to be found. If so, the next read asks the
    /// socket, whatever the last read found.
    fn look_again(&mut self) -> bool {
        if !mem::take(&mut self.must_find_end) {
            return false;
        }
        if let Some(bottom) = self.conn.bottom() {
            bottom.begin_read();
        }
        true
    }

    /// Whether the lowest filter has, or may have, bytes that a filter above it has yet to take.
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
        let _entered = gate::enter()?;
        if let Some(bottom) = self.conn.bottom() {
            bottom.begin_read();
        }
        // The client may not send more before it gets answers of mod_ssl that are still waiting. A
        // failure shows again later.
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
            // Sends what mod_ssl says about the failure (a TLS alert). The failure is reported in
            // any case.
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
        let _entered = gate::enter()?;
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
        // The pieces are joined, because mod_ssl would make a record of each.
        self.write(&front(pieces, SEND_SIZE))
    }

    fn flush(&mut self) -> io::Result<bool> {
        let _entered = gate::enter()?;
        if !self.conn.flush_core()? {
            return Ok(false);
        }
        self.conn.bottom().map_or(Ok(true), Bottom::send)
    }

    fn has_progressed(&mut self) -> bool {
        // Only our filter tells what it has sent; the core's does not.
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
