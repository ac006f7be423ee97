//! A stream of an HTTP/2 connection, below the filters of mod_http2 (RFC 8441).
//!
//! mod_http2 reports input and the end of the stream through a pipe. It reports nothing about
//! output. Its filter puts bytes into a buffer, the "beam", from which another thread takes them
//! when the client's windows allow. The filter takes any amount while the buffer is empty, and
//! blocks while it is full (h2_bucket_beam.c, `h2_beam_send`). The next call of the filter, with
//! nothing to pass, frees what the other thread has taken, and so shows whether it has taken the
//! last piece.

use std::ffi::c_int;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr;

use super::brigades::{Brigades, Input};
use super::error::check;
use super::{filters, sys};

/// An HTTP/2 stream that has left HTTP, for the one thread that uses it.
pub struct Beam {
    request: *mut sys::request_rec,
    brigades: Brigades,
    /// A second reference to the piece that was passed last.
    passed: *mut sys::apr_bucket_brigade,
}

// SAFETY: a `Beam` is used by one thread at a time (`&mut self`), and the memory of its secondary
// connection belongs to that thread, but for what `SharedMemory` protects. mod_http2 hands bytes
// over between threads under the lock of a beam.
unsafe impl Send for Beam {}

impl Beam {
    /// Takes over the stream of a request that has left HTTP.
    ///
    /// # Safety
    ///
    /// `request` is live, and lives longer than the result, through which alone its secondary
    /// connection is used. The memory of its pool and of pools below may be used by one other
    /// thread meanwhile.
    pub(super) unsafe fn new(request: *mut sys::request_rec) -> Self {
        // SAFETY: the caller vouches for the request; the brigades live in its connection's pool.
        unsafe {
            let connection = (*request).connection;
            Self {
                request,
                brigades: Brigades::new(connection),
                passed: sys::apr_brigade_create((*connection).pool, (*connection).bucket_alloc),
            }
        }
    }

    /// Reads what has arrived.
    ///
    /// # Errors
    ///
    /// When a filter reports one. [`io::ErrorKind::WouldBlock`] may stand for [`Input::Nothing`].
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        self.brigades.read(buffer)
    }

    /// Passes a copy of the piece on. Does not block if mod_http2 [has taken](Self::is_taken) the
    /// one before.
    ///
    /// # Errors
    ///
    /// When the stream has ended.
    pub fn pass(&mut self, piece: &[u8]) -> io::Result<()> {
        // SAFETY: nobody else uses the connection (`new`). A heap bucket is passed on as it is, and
        // shares its data with its copy.
        unsafe {
            let bucket = sys::apr_bucket_heap_create(
                piece.as_ptr().cast(),
                piece.len(),
                None,
                (*(*self.request).connection).bucket_alloc,
            );
            let mut copy = ptr::null_mut();
            let copied = (*(*bucket).type_)
                .copy
                .map_or(sys::APR_ENOTIMPL, |function| {
                    function(bucket, &raw mut copy)
                });
            if let Err(error) = check(copied) {
                filters::append(self.passed, bucket);
                sys::apr_brigade_cleanup(self.passed.cast());
                return Err(error);
            }
            filters::append(self.passed, copy);
            self.brigades.pass(Some(bucket))
        }
    }

    /// Whether mod_http2 has taken the piece that was passed last.
    ///
    /// # Errors
    ///
    /// When the stream has ended.
    pub fn is_taken(&mut self) -> io::Result<bool> {
        // SAFETY: nobody else uses the connection (`new`). `passed` holds the heap bucket of
        // `pass`, or nothing; its data counts its buckets, which only threads that have the stream
        // make and free.
        unsafe {
            let Some(bucket) = filters::buckets(self.passed).next() else {
                return Ok(true);
            };
            self.brigades.pass(None)?;
            let data = (*bucket).data.cast::<sys::apr_bucket_heap>();
            let is_taken = (*data).refcount.refcount == 1;
            if is_taken {
                sys::apr_brigade_cleanup(self.passed.cast());
            }
            Ok(is_taken)
        }
    }

    /// Has mod_http2 reset the stream when the handler returns. It does so if the response has no
    /// end mark (h2_mplx.c, `s_c2_done`).
    pub fn reset(&mut self) {
        // SAFETY: nobody else uses the request and its connection (`new`).
        unsafe {
            (*(*self.request).connection).aborted = 1;
            (*self.request).eos_sent = 1;
        }
    }
}

impl Drop for Beam {
    fn drop(&mut self) {
        // SAFETY: the brigade is the stream's own and lives in the connection's pool (`new`).
        unsafe {
            sys::apr_brigade_cleanup(self.passed.cast());
        }
    }
}

/// The descriptor that becomes readable when a stream has input. `None` means that the client has
/// ended the stream with its request. An optional function of mod_http2 (mod_http2.h) gives the
/// descriptor.
///
/// # Errors
///
/// When the process has no descriptor left, or mod_http2 offers no way to wait. The latter has
/// never been seen: a mod_http2 that passes WebSockets on at all belongs to httpd 2.4.58 or later
/// and uses pipes (`H2_USE_WEBSOCKETS` in h2.h). Such a version has the function, and the function
/// knows every stream.
///
/// # Safety
///
/// `connection` is the live secondary connection of a stream.
pub(super) unsafe fn input_of(connection: *mut sys::conn_rec) -> io::Result<Option<OwnedFd>> {
    type GetPollFd = unsafe extern "C" fn(
        *mut sys::conn_rec,
        *mut sys::apr_pollfd_t,
        *mut sys::apr_interval_time_t,
    ) -> sys::apr_status_t;
    // SAFETY: the optional function of this name has this type (mod_http2.h). It fills in what it
    // returns; zeros are a valid `apr_pollfd_t`. The pipe lives as long as the connection.
    unsafe {
        let name = c"http2_get_pollfd_from_conn";
        let Some(function) = sys::apr_dynamic_fn_retrieve(name.as_ptr()) else {
            return Err(no_way_to_wait());
        };
        let get = mem::transmute::<unsafe extern "C" fn(), GetPollFd>(function);
        let mut found = MaybeUninit::<sys::apr_pollfd_t>::zeroed().assume_init();
        let status = get(connection, &raw mut found, ptr::null_mut());
        if status != sys::APR_SUCCESS {
            return Err(no_way_to_wait());
        }
        if found.desc_type != sys::APR_POLL_FILE {
            return Ok(None);
        }
        let mut descriptor: c_int = -1;
        check(sys::apr_os_file_get(&raw mut descriptor, found.desc.f))?;
        BorrowedFd::borrow_raw(descriptor)
            .try_clone_to_owned()
            .map(Some)
    }
}

fn no_way_to_wait() -> io::Error {
    io::Error::other("mod_http2 offers no way to wait for input")
}
