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
use super::{filters, gate, sys};

/// How much free memory the allocator of an idle connection keeps, in bytes. It is one block of the
/// allocator.
const KEPT_MEMORY: usize = 4096;

/// A connection of httpd whose bytes belong to the holder of this value alone. Dropping it gives
/// the connection back.
///
/// Any thread may use it, but only one at a time: httpd's filters share state between reading and
/// writing.
pub struct Conn {
    connection: *mut sys::conn_rec,
    socket: Socket,
    counts: Counts,
}

/// Counts of bytes that did not pass through mod_logio's filter.
#[derive(Default)]
struct Counts {
    read: i64,
    written: i64,
}

// SAFETY: a `Conn` is used by one thread at a time (`&mut self`), and the connection's memory
// belongs to that thread, except for what `SharedMemory` protects.
unsafe impl Send for Conn {}

impl Conn {
    /// Takes a connection that its thread goes on serving, with a duplicate of its descriptor. On a
    /// hard stop the MPM closes the descriptors of such connections. Another connection could then
    /// get the same number while this one still uses it.
    ///
    /// # Errors
    ///
    /// When the connection is closed, or the process has no descriptor left.
    ///
    /// # Safety
    ///
    /// `connection` is live and has left HTTP. It outlives the result, and is used through the
    /// result alone until that is dropped. The memory of its pool and of pools below may be used by
    /// one other thread meanwhile.
    pub(super) unsafe fn of_thread(connection: *mut sys::conn_rec) -> io::Result<Self> {
        // SAFETY: the caller vouches for the connection.
        unsafe { duplicate(connection).map(|socket| Self::new(connection, socket)) }
    }

    /// Takes a connection that is going to be suspended, with httpd's own descriptor. The MPM
    /// leaves that alone until it destroys the connection's pool.
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
                // The buffers of the request are not needed while the socket is used directly. The
                // allocator is destroyed with the connection, so it may return their memory to the
                // system now.
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

    /// The connection, which outlives this value. Nobody else uses it.
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

    /// Takes the bytes that have arrived right behind the request. The caller reads from the socket
    /// from now on, because the filters hold nothing more.
    ///
    /// # Errors
    ///
    /// When there is no memory for them.
    pub fn take_early_bytes(&mut self) -> io::Result<VecDeque<u8>> {
        // SAFETY: the connection is live and nobody else uses it (`of_thread`).
        unsafe { take_early_bytes(self.connection) }
    }

    /// Keeps httpd from writing to a client that is gone or does not read.
    pub fn abort(&mut self) {
        let Ok(_entered) = gate::enter() else { return };
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

    /// Adds the bytes that bypassed mod_logio's filter to its counts for the access log.
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

/// The socket of a connection, with a duplicate of its descriptor.
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

/// Takes the bytes that have arrived right behind the request out of the core input filter. With
/// `AP_MODE_EXHAUSTIVE` that filter gives away all it holds. The last bucket stands for the socket
/// and what is still to arrive.
///
/// # Errors
///
/// When there is no memory for them.
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
        // The next read of the socket reports the end again.
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
            // Only now: reading a long bucket may insert its rest behind it.
            bucket = (*bucket).link.next;
        }
        sys::apr_brigade_destroy(brigade);
    }
    Ok(early)
}
