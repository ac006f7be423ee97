//! The bytes of a TCP connection, read and written without ever blocking.
//!
//! Two ways lead to the client. With nothing but transparent filters on the connection, bytes go
//! straight to the socket. Otherwise (TLS, anything unknown) they pass through httpd's filters
//! (`filtered.rs`).

use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::filtered::Filtered;
use crate::httpd::socket::{Acknowledged, Socket};
use crate::httpd::{filters, sys};

/// How much free memory the allocator of an idle connection keeps, in bytes: one of its blocks.
const KEPT_MEMORY: usize = 4096;

/// A connection's bytes in both directions.
///
/// One thread at a time may use it, whichever that is: httpd's filters share state between reading
/// and writing.
pub struct ConnectionStream {
    connection: *mut sys::conn_rec,
    filtered: Filtered,
    apr_socket: *mut sys::apr_socket_t,
    timeout: sys::apr_interval_time_t,
    socket: Socket,
    must_find_end: bool,
    way: Way,
    counts: Counts,
    acknowledged: Acknowledged,
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
            let apr_socket = sys::ap_get_conn_socket(connection);
            let mut descriptor: c_int = -1;
            sys::apr_os_sock_get(&raw mut descriptor, apr_socket);
            if descriptor < 0 {
                return Err(io::ErrorKind::NotConnected.into());
            }
            // httpd closes its own with the connection.
            let socket = match descriptors {
                Descriptors::Httpd => Socket::borrowed(descriptor),
                Descriptors::Own => {
                    Socket::new(BorrowedFd::borrow_raw(descriptor).try_clone_to_owned()?)
                }
            };
            let mut timeout = 0;
            sys::apr_socket_timeout_get(apr_socket, &raw mut timeout);
            sys::apr_socket_timeout_set(apr_socket, 0);
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
                apr_socket,
                timeout,
                socket,
                must_find_end: false,
                way,
                filtered: Filtered::new(connection),
                counts: Counts::default(),
                acknowledged: Acknowledged::default(),
            };
            if way == Way::Filters {
                stream.filtered.pass_by_core(&stream.socket);
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
        self.socket.descriptor()
    }

    /// Whether a read that does not fill its buffer has taken all there is.
    #[must_use]
    pub fn is_emptied_by_short_reads(&self) -> bool {
        match self.way {
            Way::Filters => self.filtered.is_emptied(),
            Way::Draining => false,
            Way::Socket => !self.must_find_end,
        }
    }

    /// The client has closed its side: reads go on until they find that out.
    pub fn find_end(&mut self) {
        self.must_find_end = true;
        self.filtered.find_end();
    }

    /// Reads what has arrived, without waiting. `Ok(0)` is the end of the client's bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived, [`io::ErrorKind::Interrupted`] when others
    /// should have their turn, [`io::ErrorKind::ResourceBusy`] when nothing is read before the client has taken
    /// output; anything else ends the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.way != Way::Socket {
            match self.filtered.read(buffer) {
                // On a hard stop the MPM has closed its descriptor; ours still works.
                Err(error) if self.way == Way::Draining && is_drained(&error) => {
                    self.way = Way::Socket;
                }
                result => return result,
            }
        }
        let read = self.socket.receive(buffer)?;
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
            return self.filtered.write(bytes);
        }
        let written = self.socket.send(bytes)?;
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
            return self.filtered.write_frame(header, payload);
        }
        let written = self.socket.send_parts(header, payload)?;
        self.counts.written += i64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    /// Pushes on what the filters still hold. Returns whether nothing is left.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self.way {
            Way::Filters => self.filtered.flush(),
            Way::Draining | Way::Socket => Ok(true),
        }
    }

    /// Whether the client has taken anything since this was last asked.
    pub fn has_progressed(&mut self) -> bool {
        let has_acknowledged = self.acknowledged.has_grown(&self.socket);
        self.filtered.has_progressed() || has_acknowledged
    }

    /// Keeps httpd from writing to a client that is gone or does not read.
    pub fn abort(&mut self) {
        // SAFETY: the stream has the connection to itself.
        unsafe { (*self.connection).aborted = 1 }
    }

    /// Adds what went straight to the socket to mod_logio's counts for the access log.
    fn report_counts(&self) {
        type AddBytes = unsafe extern "C" fn(*mut sys::conn_rec, sys::apr_off_t);
        for (name, count) in [
            (c"ap_logio_add_bytes_in", self.counts.read),
            (
                c"ap_logio_add_bytes_out",
                self.counts.written + self.filtered.sent(),
            ),
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

impl Drop for ConnectionStream {
    /// Gives the connection back to httpd.
    fn drop(&mut self) {
        self.report_counts();
        // SAFETY: the connection outlives the stream (`new`).
        unsafe {
            sys::apr_socket_timeout_set(self.apr_socket, self.timeout);
        }
    }
}

/// Whether the filters have no more bytes to give.
fn is_drained(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(Errno::BADF.raw_os_error())
}
