//! The bytes of a stream of HTTP/2 (RFC 8441), which pass through the filters of mod_http2.
//!
//! mod_http2 tells through a pipe that input has arrived, or that the stream is over. Of output it
//! tells nothing: its filter puts bytes into a buffer, the "beam", from which another thread takes
//! them when the client's windows allow, and waits while the buffer is full (h2_bucket_beam.c,
//! `h2_beam_send`). It takes any amount when the buffer is empty. So a piece is passed only when the
//! one before was taken; whether it was shows when the filter is called the next time, with nothing to
//! pass: then it frees what was taken. As nothing tells when to look, a writer looks again after a
//! while.

use std::ffi::c_int;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use super::brigades::{Brigades, Input};
use super::check;
use crate::httpd::{filters, sys};

/// What is passed on at a time: as much as mod_http2 keeps of a stream (`H2StreamMaxMemSize`).
const PASS_SIZE: usize = 32 * 1024;

/// How long to wait before looking again: a quarter of the time waited so far, within these limits.
const SHORTEST_RETRY: Duration = Duration::from_micros(100);
const LONGEST_RETRY: Duration = Duration::from_millis(20);

/// A stream's bytes in both directions.
pub struct Http2Stream {
    request: *mut sys::request_rec,
    /// Readable when there is input.
    input: Arc<OwnedFd>,
    brigades: Brigades,
    /// A second reference to the piece that was passed on last.
    passed: *mut sys::apr_bucket_brigade,
    /// The mark was read that stands for the body of the opening handshake.
    has_begun: bool,
}

// SAFETY: a `Http2Stream` is used by one thread at a time (`&mut self`), and the memory of its
// secondary connection belongs to whoever has the stream, but for what `SharedMemory` protects.
// mod_http2 hands bytes over between threads under the lock of a beam.
unsafe impl Send for Http2Stream {}

/// What becomes readable when a stream has input; `None` when the client has ended the stream with its
/// request. mod_http2 has an optional function for that (mod_http2.h).
///
/// # Errors
///
/// When the process has no descriptor left, or mod_http2 offers no way to wait. The latter has never
/// been seen: a mod_http2 that hands out WebSockets at all is of httpd 2.4.58 or later and uses pipes
/// (`H2_USE_WEBSOCKETS` in h2.h), and then the function is there and knows every stream.
///
/// # Safety
///
/// `connection` is the live secondary connection of a stream.
pub unsafe fn input_of(connection: *mut sys::conn_rec) -> io::Result<Option<OwnedFd>> {
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

impl Http2Stream {
    /// Takes over the stream of a request that has left HTTP; `input` comes from [`input_of`].
    ///
    /// # Safety
    ///
    /// `request` is live, and its secondary connection is used through the result alone until that is
    /// dropped. The memory of its pool and of pools below may be used by one other thread meanwhile.
    pub unsafe fn new(request: *mut sys::request_rec, input: OwnedFd) -> Self {
        // SAFETY: the caller vouches for the request; the brigades live in its connection's pool.
        unsafe {
            let connection = (*request).connection;
            Self {
                request,
                input: Arc::new(input),
                brigades: Brigades::new(connection),
                passed: sys::apr_brigade_create((*connection).pool, (*connection).bucket_alloc),
                has_begun: false,
            }
        }
    }

    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.input)
    }

    pub fn retry_interval(pending: Duration) -> Duration {
        (pending / 4).clamp(SHORTEST_RETRY, LONGEST_RETRY)
    }

    /// mod_http2 marks the end of the body first, as the request has none, although the stream goes on
    /// (h2_c2.c, `h2_c2_filter_in`). The next such mark is the end of the stream.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // SAFETY: the stream has the connection to itself.
            match unsafe { self.brigades.read(buffer) }? {
                Input::Bytes(length) => return Ok(length),
                Input::EndOfBody if !mem::replace(&mut self.has_begun, true) => {}
                Input::EndOfBody | Input::End => return Ok(0),
                Input::Nothing => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_taken()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let piece = &bytes[..bytes.len().min(PASS_SIZE)];
        // SAFETY: the stream has the connection and its brigades to itself; the bucket copies the
        // bytes. A heap bucket is passed on as it is, and shares its data with its copy.
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
            filters::append(self.brigades.output(), bucket);
            check(copied)?;
            filters::append(self.passed, copy);
            self.brigades.pass()?;
        }
        Ok(piece.len())
    }

    pub fn write_frame(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        let rest = payload.len().min(PASS_SIZE - header.len());
        self.write(&[header, &payload[..rest]].concat())
    }

    /// Whether mod_http2 has taken the piece that was passed on last.
    fn is_taken(&mut self) -> io::Result<bool> {
        // SAFETY: the stream has the connection and its brigades to itself. `passed` holds the heap
        // bucket of `write`, or nothing; its data counts its buckets, which only threads that have the
        // stream make and free.
        unsafe {
            let Some(bucket) = filters::buckets(self.passed).next() else {
                return Ok(true);
            };
            self.brigades.pass()?;
            let data = (*bucket).data.cast::<sys::apr_bucket_heap>();
            let is_taken = (*data).refcount.refcount == 1;
            if is_taken {
                sys::apr_brigade_cleanup(self.passed.cast());
            }
            Ok(is_taken)
        }
    }

    /// Has mod_http2 reset the stream, which it does if the handler leaves without the mark for the end
    /// of the response (h2_mplx.c, `s_c2_done`).
    pub fn abort(&mut self) {
        // SAFETY: the stream has the request and its connection to itself.
        unsafe {
            (*(*self.request).connection).aborted = 1;
            (*self.request).eos_sent = 1;
        }
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        // SAFETY: the brigade is the stream's own and lives in the connection's pool.
        unsafe {
            sys::apr_brigade_cleanup(self.passed.cast());
        }
    }
}
