//! The way through httpd's filters, those of the core excepted (`bottom.rs`) unless a module has put
//! something next to them. Then they get pieces small enough that the core output filter never waits for
//! the client (core_filters.c).

use std::io;
use std::mem;

use super::bottom::Bottom;
use super::brigades::{Brigades, Input};
use super::check;
use crate::httpd::socket::Socket;
use crate::httpd::{filters, sys};

/// What is passed to the core output filter at a time: the most that fits one TLS record, far from the
/// 64 KiB (`FlushMaxThreshold`) at which it starts to block.
const PASS_SIZE: usize = 16 * 1024;

/// What is passed at a time where that filter is passed by, and sent together.
const SEND_SIZE: usize = 4 * PASS_SIZE;

/// How often filters that have given nothing are asked again at a time.
const MOST_TRIES: usize = 16;

/// So many records, or pieces of them, are read at a time: a client decides how short they are, and who
/// sends to it waits meanwhile for the lock of the stream.
const MOST_PIECES: usize = 128;

/// So much is passed at a time, for the same reason.
const MOST_PASSED: usize = 1024 * 1024;

/// The filters of a connection, used by one thread at a time.
pub(super) struct Filtered {
    connection: *mut sys::conn_rec,
    brigades: Brigades,
    /// In place of the core's filters.
    bottom: Option<Bottom>,
    must_find_end: bool,
    /// There was nothing more when the filters were last asked.
    is_dry: bool,
}

impl Filtered {
    /// All filters of a connection, those of the core included.
    ///
    /// # Safety
    ///
    /// `connection` is live and used through the result alone until that is dropped. The memory of its
    /// pool and of pools below may be used by one other thread meanwhile.
    pub(super) unsafe fn new(connection: *mut sys::conn_rec) -> Self {
        // SAFETY: the caller vouches for the connection.
        let brigades = unsafe { Brigades::new(connection) };
        Self {
            connection,
            brigades,
            bottom: None,
            must_find_end: false,
            is_dry: false,
        }
    }

    /// Passes by the filters of the core if nothing is next to them, and uses the socket itself.
    ///
    /// # Safety
    ///
    /// `socket` is that of the connection, and httpd does not close it before this is dropped.
    pub(super) unsafe fn pass_by_core(&mut self, socket: &Socket) {
        // SAFETY: the caller vouches for the socket, and that of `new` for the connection.
        self.bottom = unsafe { Bottom::install(self.connection, socket.share()) };
    }

    /// Whether the last read has taken all there is.
    pub(super) fn is_emptied(&self) -> bool {
        self.is_dry && !self.must_find_end
    }

    /// The client has closed its side: reads go on until they find that out.
    pub(super) fn find_end(&mut self) {
        self.must_find_end = true;
    }

    /// Reads until the buffer is full, there is nothing more or others should have their turn. `Ok(0)` is
    /// the end, and [`io::ErrorKind::ResourceBusy`] says that nothing is read before the client has taken
    /// output.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: no filter runs (`new`).
        unsafe {
            if let Some(bottom) = &mut self.bottom {
                bottom.begin_read();
            }
            // Answers of mod_ssl that wait may keep the client from being read from. Failures show again.
            let _ = self.flush();
            let mut result = self.fill(buffer);
            if let Some(bottom) = &mut self.bottom {
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
    }

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
    /// first read at the end of the client's bytes, which mod_ssl passes on as "try again"; the next
    /// one reports the end, of which the poller will not tell again. And mod_ssl says "try again" after
    /// each record without data (TLS 1.3 key updates), although more may have been read already. Before
    /// httpd 2.4.60 it refuses renegotiation, which it does not allow a client, only when it is asked again.
    ///
    /// A client may send such records for ever: [`io::ErrorKind::Interrupted`] after some.
    fn read_piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut has_moved = false;
        for _ in 0..MOST_TRIES {
            match self.read_brigade(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let moved = self.has_moved();
                    let may_tell = moved && self.bottom.is_some();
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
        match &mut self.bottom {
            // SAFETY: no filter runs (`new`).
            Some(bottom) => unsafe { bottom.has_moved() },
            None => true,
        }
    }

    /// Whether the end is still to be found; then the next read asks the socket, whatever the last one
    /// found.
    fn look_again(&mut self) -> bool {
        if !mem::take(&mut self.must_find_end) {
            return false;
        }
        if let Some(bottom) = &mut self.bottom {
            // SAFETY: no filter runs (`new`).
            unsafe { bottom.begin_read() };
        }
        true
    }

    /// Whether there are bytes that a filter above the last has yet to take.
    fn holds_input(&mut self) -> bool {
        // SAFETY: no filter runs (`new`).
        unsafe {
            match &mut self.bottom {
                Some(bottom) => bottom.holds_input(),
                None => self.brigades.core_holds_input(),
            }
        }
    }

    fn read_brigade(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: no filter runs (`new`).
        match unsafe { self.brigades.read(buffer) }? {
            Input::Bytes(length) => Ok(length),
            Input::End => Ok(0),
            Input::EndOfBody | Input::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Passes on as many pieces as the client takes. Returns how many bytes that were.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = match self.bottom {
            Some(_) => SEND_SIZE,
            None => PASS_SIZE,
        };
        let mut passed = 0;
        let mut takes_more = self.flush()?;
        for piece in bytes.chunks(size) {
            if !takes_more {
                break;
            }
            // SAFETY: no filter runs (`new`).
            unsafe { self.brigades.pass_bytes(piece) }?;
            self.check_aborted()?;
            passed += piece.len();
            takes_more = self.flush()? && passed < MOST_PASSED;
        }
        if passed == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(passed)
    }

    /// The same for a frame whose header and payload lie apart.
    pub(super) fn write_frame(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        // One piece, or mod_ssl would make a record of the header alone.
        let rest = payload.len().min(PASS_SIZE - header.len());
        self.write(&[header, &payload[..rest]].concat())
    }

    /// Pushes on what the filters still hold. Returns whether nothing is left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        if self.core_has_output() {
            // SAFETY: no filter runs (`new`).
            check(unsafe { filters::flush_core(self.connection) })?;
            self.check_aborted()?;
            if self.core_has_output() {
                return Ok(false);
            }
        }
        match &mut self.bottom {
            // SAFETY: no filter runs (`new`).
            Some(bottom) => unsafe { bottom.send() },
            None => Ok(true),
        }
    }

    /// Whether the client has taken some of it since this was last asked. The core does not tell.
    pub(super) fn has_progressed(&mut self) -> bool {
        let bottom = self.bottom.as_mut();
        // SAFETY: no filter runs (`new`).
        bottom.is_some_and(|bottom| unsafe { bottom.has_progressed() })
    }

    /// Bytes sent without the core.
    pub(super) fn sent(&self) -> i64 {
        self.bottom.as_ref().map_or(0, Bottom::sent)
    }

    fn core_has_output(&self) -> bool {
        // SAFETY: the connection is live (`new`).
        unsafe { (*self.connection).data_in_output_filters != 0 }
    }

    /// The core output filter reports a broken connection only here.
    fn check_aborted(&self) -> io::Result<()> {
        // SAFETY: the connection is live (`new`).
        if unsafe { (*self.connection).aborted } != 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

fn is_fatal(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ResourceBusy
    )
}
