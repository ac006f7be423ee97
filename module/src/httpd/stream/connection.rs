//! The bytes of a TCP connection, read and written without ever blocking.
//!
//! Two ways lead to the client. With nothing but transparent filters on the connection, bytes go
//! straight to the socket. Otherwise (TLS, anything unknown) they pass through httpd's filters, those of
//! the core excepted (`bottom.rs`). Where these cannot be passed by, they get pieces small enough that the
//! core output filter never waits for the client (core_filters.c).

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::bottom::Bottom;
use super::brigades::{Brigades, Input};
use super::check;
use crate::httpd::{filters, sys};

/// What is passed to the core output filter at a time: the most that fits one TLS record, far from the
/// 64 KiB (`FlushMaxThreshold`) at which it starts to block.
const PASS_SIZE: usize = 16 * 1024;

/// What is passed at a time where that filter is passed by, and sent together.
const SEND_SIZE: usize = 4 * PASS_SIZE;

/// How much free memory the allocator of an idle connection keeps, in bytes: one of its blocks.
const KEPT_MEMORY: usize = 4096;

/// A connection's bytes in both directions.
///
/// One thread at a time may use it, whichever that is: httpd's filters share state between reading
/// and writing.
pub struct ConnectionStream {
    connection: *mut sys::conn_rec,
    socket: *mut sys::apr_socket_t,
    timeout: sys::apr_interval_time_t,
    descriptor: Descriptor,
    must_find_end: bool,
    /// The filters had nothing more to give when they were last asked.
    is_dry: bool,
    brigades: Brigades,
    way: Way,
    /// Takes the place of the core's filters below others.
    bottom: Option<Bottom>,
    counts: Counts,
}

/// Whose descriptor a stream uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptors {
    /// A duplicate. On a hard stop the MPM closes the descriptors of connections its threads serve,
    /// and the number might be another connection's by the time it is used here.
    Own,
    /// httpd's own: of a suspended connection the MPM leaves it alone.
    Httpd,
}

enum Descriptor {
    Own(Arc<OwnedFd>),
    Httpd(RawFd),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through the filters.
    Filters,
    /// To be left for `Socket` when the core input filter holds no more bytes that came right behind
    /// the request. Output goes straight to the socket already.
    Draining,
    /// Straight to the socket.
    Socket,
}

/// Bytes that passed by mod_logio's filter.
#[derive(Default)]
struct Counts {
    read: i64,
    written: i64,
}

// SAFETY: a `ConnectionStream` is used by one thread at a time (`&mut self`), and the connection's memory
// belongs to whoever has the stream, but for what `SharedMemory` protects.
unsafe impl Send for ConnectionStream {}

impl ConnectionStream {
    /// Takes over the connection of a request that has left HTTP.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor or memory left.
    ///
    /// # Safety
    ///
    /// `connection` is live and used through the result alone until that is dropped. The memory of
    /// its pool and of pools below may be used by one other thread meanwhile.
    pub(in crate::httpd) unsafe fn new(
        connection: *mut sys::conn_rec,
        descriptors: Descriptors,
    ) -> io::Result<Self> {
        // SAFETY: the caller vouches for the connection; brigades and socket live in its pool.
        unsafe {
            let socket = sys::ap_get_conn_socket(connection);
            let mut descriptor: c_int = -1;
            sys::apr_os_sock_get(&raw mut descriptor, socket);
            if descriptor < 0 {
                return Err(io::ErrorKind::NotConnected.into());
            }
            let descriptor = match descriptors {
                Descriptors::Httpd => Descriptor::Httpd(descriptor),
                Descriptors::Own => {
                    let duplicate = BorrowedFd::borrow_raw(descriptor).try_clone_to_owned()?;
                    Descriptor::Own(Arc::new(duplicate))
                }
            };
            let mut timeout = 0;
            sys::apr_socket_timeout_get(socket, &raw mut timeout);
            sys::apr_socket_timeout_set(socket, 0);
            let way = if filters::are_transparent(connection) {
                Way::Draining
            } else {
                Way::Filters
            };
            if way == Way::Draining && descriptors == Descriptors::Httpd {
                // The request's buffers are not needed again while the socket is used directly, and the
                // allocator goes with the connection: let it return them to the system.
                let allocator = sys::apr_pool_allocator_get((*connection).pool);
                sys::apr_allocator_max_free_set(allocator, KEPT_MEMORY);
            }
            let mut stream = Self {
                connection,
                socket,
                timeout,
                descriptor,
                must_find_end: false,
                is_dry: false,
                brigades: Brigades::new(connection),
                way,
                bottom: None,
                counts: Counts::default(),
            };
            if way == Way::Filters {
                stream.bottom = Bottom::install(connection, stream.as_fd());
            }
            Ok(stream)
        }
    }

    /// A descriptor to wait on, which stays the connection's for as long as it is held.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        match &self.descriptor {
            Descriptor::Own(descriptor) => Ok(Arc::clone(descriptor)),
            Descriptor::Httpd(_) => Ok(Arc::new(self.as_fd().try_clone_to_owned()?)),
        }
    }

    /// Whether a read that does not fill its buffer has taken all there is.
    #[must_use]
    pub fn is_emptied_by_short_reads(&self) -> bool {
        (self.way == Way::Socket || self.is_dry) && !self.must_find_end
    }

    /// The client has closed its side: reads go on until they find that out.
    pub fn find_end(&mut self) {
        self.must_find_end = true;
    }

    /// Reads what has arrived, without waiting. `Ok(0)` is the end of the client's bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived; anything else ends the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.way != Way::Socket {
            match self.read_filters(buffer) {
                // On a hard stop the MPM has closed its descriptor; ours still works.
                Err(error) if self.way == Way::Draining && is_drained(&error) => {
                    self.way = Way::Socket;
                }
                result => return result,
            }
        }
        let (read, _) = rustix::net::recv(self.as_fd(), buffer, RecvFlags::DONTWAIT)?;
        self.counts.read += i64::try_from(read).unwrap_or(0);
        Ok(read)
    }

    /// Writes what the connection takes, without waiting. Returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when it takes none now; anything else ends the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.way == Way::Filters {
            return self.write_filters(bytes);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let written = rustix::net::send(self.as_fd(), bytes, flags)?;
        self.counts.written += i64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    /// The same for a frame whose header and payload lie apart.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    pub fn write_frame(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        if self.way == Way::Filters {
            // One piece, or mod_ssl would make a record of the header alone.
            let rest = payload.len().min(PASS_SIZE - header.len());
            return self.write_filters(&[header, &payload[..rest]].concat());
        }
        let parts = [IoSlice::new(header), IoSlice::new(payload)];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let nothing = &mut SendAncillaryBuffer::default();
        let written = rustix::net::sendmsg(self.as_fd(), &parts, nothing, flags)?;
        self.counts.written += i64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    /// Pushes on what the filters still hold. Returns whether nothing is left.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn flush(&mut self) -> io::Result<bool> {
        if self.way != Way::Filters {
            return Ok(true);
        }
        if self.core_has_output() {
            // SAFETY: the stream has the connection to itself.
            check(unsafe { filters::flush_core(self.connection) })?;
            self.check_aborted()?;
            if self.core_has_output() {
                return Ok(false);
            }
        }
        let bottom = self.bottom.as_mut();
        // SAFETY: the stream has the connection to itself.
        bottom.map_or(Ok(true), |bottom| unsafe { bottom.send() })
    }

    /// Keeps httpd from writing to a client that is gone or does not read.
    pub fn abort(&mut self) {
        // SAFETY: the stream has the connection to itself.
        unsafe { (*self.connection).aborted = 1 }
    }

    fn read_filters(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the stream has the connection to itself.
        unsafe {
            self.bottom.iter_mut().for_each(|it| it.begin_read());
            let filled = self.fill(buffer);
            self.bottom.iter_mut().for_each(|it| it.end_read());
            filled
        }
    }

    /// Reads until the buffer is full or there is nothing more: mod_ssl gives 8 KiB at a time.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        self.is_dry = false;
        while filled < buffer.len() {
            match self.read_piece(&mut buffer[filled..]) {
                // The end shows again, and so does a failure.
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) => {
                    self.is_dry =
                        self.way == Way::Filters && error.kind() == io::ErrorKind::WouldBlock;
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
    /// each record without data (TLS 1.3 key updates), although more may have been read already.
    fn read_piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_brigade(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.must_find_end || self.holds_input() {
                        self.look_again();
                        continue;
                    }
                    return Err(error);
                }
                result => return result,
            }
        }
    }

    /// The next read asks the socket, whatever the last one found.
    fn look_again(&mut self) {
        if mem::take(&mut self.must_find_end)
            && let Some(bottom) = &mut self.bottom
        {
            // SAFETY: the stream has the connection to itself.
            unsafe { bottom.begin_read() };
        }
    }

    /// Whether there are bytes that a filter above the last has yet to take.
    fn holds_input(&mut self) -> bool {
        // SAFETY: the stream has the connection to itself.
        unsafe {
            match &mut self.bottom {
                Some(bottom) => bottom.holds_input(),
                None => self.way == Way::Filters && self.brigades.core_holds_input(),
            }
        }
    }

    fn read_brigade(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the stream has the connection to itself.
        match unsafe { self.brigades.read(buffer) }? {
            Input::Bytes(length) => Ok(length),
            Input::End => Ok(0),
            Input::EndOfBody | Input::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Passes on as many pieces as the client takes.
    fn write_filters(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = if self.bottom.is_some() {
            SEND_SIZE
        } else {
            PASS_SIZE
        };
        let mut passed = 0;
        let mut takes_more = self.flush()?;
        for piece in bytes.chunks(size) {
            if !takes_more {
                break;
            }
            // SAFETY: the stream has the connection to itself.
            unsafe { self.brigades.pass_bytes(piece) }?;
            self.check_aborted()?;
            passed += piece.len();
            takes_more = self.flush()?;
        }
        if passed == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(passed)
    }

    fn core_has_output(&self) -> bool {
        // SAFETY: the stream has the connection to itself.
        unsafe { (*self.connection).data_in_output_filters != 0 }
    }

    /// The core output filter reports a broken connection only here.
    fn check_aborted(&self) -> io::Result<()> {
        // SAFETY: the stream has the connection to itself.
        if unsafe { (*self.connection).aborted } != 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Adds what went straight to the socket to mod_logio's counts for the access log.
    fn report_counts(&self) {
        type AddBytes = unsafe extern "C" fn(*mut sys::conn_rec, sys::apr_off_t);
        for (name, count) in [
            (c"ap_logio_add_bytes_in", self.counts.read),
            (c"ap_logio_add_bytes_out", self.counts.written),
        ] {
            // SAFETY: the optional functions of these names have this type (mod_logio.h); they add to
            // numbers in the live connection.
            unsafe {
                if let Some(function) = sys::apr_dynamic_fn_retrieve(name.as_ptr()) {
                    let add = mem::transmute::<unsafe extern "C" fn(), AddBytes>(function);
                    add(self.connection, count);
                }
            }
        }
    }
}

impl AsFd for ConnectionStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.descriptor {
            Descriptor::Own(descriptor) => descriptor.as_fd(),
            // SAFETY: httpd closes it with the connection, which outlives the stream (`new`).
            Descriptor::Httpd(descriptor) => unsafe { BorrowedFd::borrow_raw(*descriptor) },
        }
    }
}

impl Drop for ConnectionStream {
    /// Gives the connection back to httpd.
    fn drop(&mut self) {
        self.report_counts();
        // While the connection is there.
        self.bottom = None;
        // SAFETY: the connection outlives the stream (`new`).
        unsafe {
            sys::apr_socket_timeout_set(self.socket, self.timeout);
        }
    }
}

/// Whether the filters have no more bytes to give.
fn is_drained(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(Errno::BADF.raw_os_error())
}
