//! A connection that has left HTTP, for the one thread that uses it.

use std::collections::VecDeque;
use std::ffi::{CStr, c_int};
use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::slice;

use super::error::check;
use super::socket::Socket;
use super::{filters, sys};

/// How much free memory the allocator of an idle connection keeps, in bytes: one of its blocks.
const KEPT_MEMORY: usize = 4096;

/// A connection of httpd's whose bytes are the holder's alone. Dropping it gives the connection
/// back.
///
/// One thread at a time may use it, whichever that is: httpd's filters share state between reading
/// and writing.
pub struct Conn {
    connection: *mut sys::conn_rec,
    socket: Socket,
    counts: Counts,
}

/// Bytes that did not pass mod_logio's filter.
#[derive(Default)]
struct Counts {
    read: i64,
    written: i64,
}

// SAFETY: a `Conn` is used by one thread at a time (`&mut self`), and the connection's memory
// belongs to that thread, but for what `SharedMemory` protects.
unsafe impl Send for Conn {}

impl Conn {
    /// Takes a connection whose thread goes on serving it, with a duplicate of its descriptor: on a
    /// hard stop the MPM closes the descriptors of such connections, and another connection might
    /// get the number while it is still used here.
    ///
    /// # Errors
    ///
    /// When the connection is closed, or the process has no descriptor left.
    ///
    /// # Safety
    ///
    /// `connection` is live and has left HTTP. It is used through the result alone until that is
    /// dropped, and lives longer. The memory of its pool and of pools below may be used by one
    /// other thread meanwhile.
    pub(super) unsafe fn of_thread(connection: *mut sys::conn_rec) -> io::Result<Self> {
        // SAFETY: the caller vouches for the connection.
        unsafe { duplicate(connection).map(|socket| Self::new(connection, socket)) }
    }

    /// Takes a connection that is going to be suspended, with httpd's own descriptor, which the MPM
    /// leaves alone until the connection's pool is destroyed.
    ///
    /// # Errors
    ///
    /// When the connection is closed.
    ///
    /// # Safety
    ///
    /// As for [`of_thread`](Self::of_thread). The handler suspends the connection, or drops the
    /// result before it returns.
    pub(super) unsafe fn to_suspend(connection: *mut sys::conn_rec) -> io::Result<Self> {
        // SAFETY: the caller vouches for the connection, with whose pool httpd closes the socket.
        unsafe {
            let socket = Socket::borrowed(open_descriptor(connection)?);
            if filters::are_transparent(connection) {
                // The request's buffers are not needed again while the socket is used directly, and
                // the allocator is destroyed with the connection: it may return them to the system
                // now.
                let allocator = sys::apr_pool_allocator_get((*connection).pool);
                sys::apr_allocator_max_free_set(allocator, KEPT_MEMORY);
            }
            Ok(Self::new(connection, socket))
        }
    }

    fn new(connection: *mut sys::conn_rec, socket: Socket) -> Self {
        Self {
            connection,
            socket,
            counts: Counts::default(),
        }
    }

    /// The connection, which lives longer than this. Nobody else uses it.
    pub(super) fn as_raw(&self) -> *mut sys::conn_rec {
        self.connection
    }

    /// The connection's socket.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the filters pass all bytes on unchanged, so that the socket may be used directly.
    #[must_use]
    pub fn is_transparent(&self) -> bool {
        // SAFETY: the connection is live and nobody else uses it (`of_thread`).
        unsafe { filters::are_transparent(self.connection) }
    }

    /// Takes what has come right behind the request, for a caller that reads from the socket from
    /// now on: the filters have nothing to give any more.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn take_early_bytes(&mut self) -> io::Result<VecDeque<u8>> {
        // SAFETY: the connection is live and nobody else uses it (`of_thread`).
        unsafe { take_early_bytes(self.connection) }
    }

    /// Keeps httpd from writing to a client that is gone or does not read.
    pub fn abort(&mut self) {
        // SAFETY: the connection is live and nobody else uses it (`of_thread`).
        unsafe { (*self.connection).aborted = 1 }
    }

    /// Counts bytes that were read from the socket directly, for mod_logio.
    pub fn count_read(&mut self, length: usize) {
        self.counts.read += i64::try_from(length).unwrap_or(0);
    }

    /// Counts bytes that were written to the socket directly, for mod_logio.
    pub fn count_written(&mut self, length: usize) {
        self.counts.written += i64::try_from(length).unwrap_or(0);
    }

    /// Adds what bypassed mod_logio's filter to its counts for the access log.
    fn report_counts(&self) {
        type AddBytes = unsafe extern "C" fn(*mut sys::conn_rec, sys::apr_off_t);
        let Counts { read, written } = self.counts;
        let add = |name: &CStr, count| {
            // SAFETY: the optional functions of these names have this type (mod_logio.h); they add
            // to numbers in the live connection.
            unsafe {
                if let Some(function) = sys::apr_dynamic_fn_retrieve(name.as_ptr()) {
                    let add = mem::transmute::<unsafe extern "C" fn(), AddBytes>(function);
                    add(self.connection, count);
                }
            }
        };
        add(c"ap_logio_add_bytes_in", read);
        add(c"ap_logio_add_bytes_out", written);
    }
}

impl Drop for Conn {
    /// Gives the connection back to httpd.
    fn drop(&mut self) {
        self.report_counts();
    }
}

/// The descriptor of a connection, unless it is closed.
///
/// # Safety
///
/// `connection` is live.
pub(super) unsafe fn descriptor(connection: *mut sys::conn_rec) -> Option<RawFd> {
    let mut descriptor: c_int = -1;
    // SAFETY: the caller vouches for the connection, whose socket lives as long.
    unsafe { sys::apr_os_sock_get(&raw mut descriptor, sys::ap_get_conn_socket(connection)) };
    (descriptor >= 0).then_some(descriptor)
}

unsafe fn open_descriptor(connection: *mut sys::conn_rec) -> io::Result<RawFd> {
    // SAFETY: the caller vouches for the connection.
    unsafe { descriptor(connection) }.ok_or_else(|| io::ErrorKind::NotConnected.into())
}

/// The socket of a connection, with a descriptor of this module's own.
///
/// # Errors
///
/// When the connection is closed, or the process has no descriptor left.
///
/// # Safety
///
/// `connection` is live, and no other thread closes its descriptor during the call.
pub(super) unsafe fn duplicate(connection: *mut sys::conn_rec) -> io::Result<Socket> {
    // SAFETY: the caller vouches for the connection and its descriptor.
    let duplicate =
        unsafe { BorrowedFd::borrow_raw(open_descriptor(connection)?).try_clone_to_owned()? };
    Ok(Socket::new(duplicate))
}

/// Takes what has come right behind the request out of the core input filter. In this mode the
/// filter gives away all it holds; the last of that stands for the socket and what is still to
/// come.
///
/// # Errors
///
/// When there is no memory for it.
///
/// # Safety
///
/// The caller has the live connection to itself and uses its input filters no more.
pub(super) unsafe fn take_early_bytes(connection: *mut sys::conn_rec) -> io::Result<VecDeque<u8>> {
    let mut early = VecDeque::new();
    // SAFETY: the caller vouches for the connection; the last input filter is the core's. Each
    // bucket says how it is read, and keeps the bytes it has given until it is deleted.
    unsafe {
        let brigade = sys::apr_brigade_create((*connection).pool, (*connection).bucket_alloc);
        let status = sys::ap_get_brigade(
            filters::last((*connection).input_filters),
            brigade,
            sys::AP_MODE_EXHAUSTIVE,
            sys::APR_NONBLOCK_READ,
            0,
        );
        // The client's end shows again when the socket is read.
        if status != sys::APR_EOF {
            check(status)?;
        }
        let end = filters::end(brigade);
        let mut bucket = (*brigade).list.next;
        while bucket != end && (*bucket).type_ != &raw const sys::apr_bucket_type_socket {
            let (mut bytes, mut length) = (ptr::null(), 0);
            if let Some(read) = (*(*bucket).type_).read {
                let mode = sys::APR_NONBLOCK_READ;
                check(read(bucket, &raw mut bytes, &raw mut length, mode))?;
            }
            if length > 0 {
                early.extend(slice::from_raw_parts(bytes.cast::<u8>(), length));
            }
            // Not before: a read may put the rest of a long bucket behind it.
            bucket = (*bucket).link.next;
        }
        sys::apr_brigade_destroy(brigade);
    }
    Ok(early)
}
