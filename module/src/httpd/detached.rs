//! A connection httpd knows nothing of any more (event MPM, nothing but a socket).
//!
//! The module keeps a duplicate of the connection's descriptor and lets httpd end request and connection
//! by itself. When the request has ended, the connection is marked as aborted: then httpd closes its
//! descriptor without a word to the client (connection.c, `ap_start_lingering_close`), which leaves the
//! duplicate as it is.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::slice;
use std::sync::Arc;

use rustix::net::Shutdown;

use super::pool::Pool;
use super::socket::{Acknowledged, Socket};
use super::stream::check;
use super::{filters, sys};

/// The module's own descriptor of a connection that is to be detached.
pub struct Duplicate(Socket);

impl Duplicate {
    /// Duplicates the descriptor of a connection, if all that belongs to it is a socket.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    ///
    /// # Safety
    ///
    /// `connection` is live and no other thread uses it.
    pub(super) unsafe fn of(connection: *mut sys::conn_rec) -> io::Result<Option<Self>> {
        // SAFETY: the caller vouches for the connection; its descriptor is open, or negative.
        let duplicate = unsafe {
            if !filters::are_transparent(connection) {
                return Ok(None);
            }
            let mut descriptor = -1;
            sys::apr_os_sock_get(&raw mut descriptor, sys::ap_get_conn_socket(connection));
            if descriptor < 0 {
                return Err(io::ErrorKind::NotConnected.into());
            }
            BorrowedFd::borrow_raw(descriptor).try_clone_to_owned()?
        };
        Ok(Some(Self(Socket::new(duplicate))))
    }

    /// Takes the connection of `request` away from httpd, which closes what it has of it when the
    /// request has ended.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    ///
    /// # Safety
    ///
    /// This is the handler of the live request, which has left HTTP, and uses neither the connection
    /// nor its bytes in any other way from now on.
    pub(super) unsafe fn detach(
        self,
        request: *mut sys::request_rec,
    ) -> io::Result<(DetachedStream, Detached)> {
        // SAFETY: the caller vouches for the request; its connection lives longer. The clean-up runs
        // after the access log line has been written (eoc_bucket.c, `eor_bucket_cleanup`).
        let early = unsafe {
            let connection = (*request).connection;
            if (*connection).aborted != 0 {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Pool::new((*request).pool).on_destroy(move || (*connection).aborted = 1);
            take_early_bytes(connection)?
        };
        // SAFETY: the descriptor is the module's own.
        let detached = Detached(unsafe { self.0.share() });
        let stream = DetachedStream {
            socket: self.0,
            early: (!early.is_empty()).then_some(early),
            must_find_end: false,
            acknowledged: Acknowledged::default(),
        };
        Ok((stream, detached))
    }
}

/// Takes what came right behind the request out of the core input filter. In this mode the filter gives
/// away all it holds, the last of which stands for the socket and what is still to come.
unsafe fn take_early_bytes(connection: *mut sys::conn_rec) -> io::Result<VecDeque<u8>> {
    let mut early = VecDeque::new();
    // SAFETY: the caller has the live connection to itself; the last input filter is the core's. A
    // brigade is a ring of buckets that ends with its own `list`; each says how it is read.
    unsafe {
        let mut filter = (*connection).input_filters;
        while !(*filter).next.is_null() {
            filter = (*filter).next;
        }
        let brigade = sys::apr_brigade_create((*connection).pool, (*connection).bucket_alloc);
        let mode = sys::AP_MODE_EXHAUSTIVE;
        check(sys::ap_get_brigade(
            filter,
            brigade,
            mode,
            sys::APR_NONBLOCK_READ,
            0,
        ))?;
        let end = (&raw mut (*brigade).list).cast::<sys::apr_bucket>();
        let mut bucket = (*brigade).list.next;
        while bucket != end && (*bucket).type_ != &raw const sys::apr_bucket_type_socket {
            let (mut bytes, mut length) = (std::ptr::null(), 0);
            if let Some(read) = (*(*bucket).type_).read {
                check(read(
                    bucket,
                    &raw mut bytes,
                    &raw mut length,
                    sys::APR_NONBLOCK_READ,
                ))?;
            }
            if length > 0 {
                early.extend(slice::from_raw_parts(bytes.cast::<u8>(), length));
            }
            bucket = (*bucket).link.next;
        }
        sys::apr_brigade_destroy(brigade);
    }
    Ok(early)
}

/// The bytes of a detached connection, in both directions.
pub struct DetachedStream {
    socket: Socket,
    /// What came right behind the request; until a read has found nothing more in it.
    early: Option<VecDeque<u8>>,
    must_find_end: bool,
    acknowledged: Acknowledged,
}

impl DetachedStream {
    pub(super) fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        self.socket.descriptor()
    }

    pub(super) fn is_emptied_by_short_reads(&self) -> bool {
        self.early.is_none() && !self.must_find_end
    }

    pub(super) fn find_end(&mut self) {
        self.must_find_end = true;
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(early) = &mut self.early {
            let read = early.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.early = None;
        }
        Ok(self.socket.receive(buffer)?)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.socket.send(bytes)?)
    }

    pub(super) fn write_frame(&self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        Ok(self.socket.send_parts(header, payload)?)
    }

    pub(super) fn has_progressed(&mut self) -> bool {
        self.acknowledged.has_grown(&self.socket)
    }

    pub(super) fn abort(&self) {
        self.socket.shut_down(Shutdown::Both);
    }
}

/// A connection that belongs to this module; dropped, and its stream as well, it is closed.
pub struct Detached(Socket);

impl Detached {
    /// Tells the client that nothing more comes.
    pub(super) fn finish(&self) {
        self.0.shut_down(Shutdown::Write);
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.0
    }
}
