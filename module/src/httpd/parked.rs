//! The filters of requests whose response has to wait until the MPM's thread has let go.

use std::ffi::c_int;
use std::ptr::NonNull;

use super::{filters, sys};

/// A chain of requests that reads and writes nothing until [`restore`](Self::restore).
///
/// The handlers of redirected requests go on when the handler of the last one has returned, and
/// httpd ends the response of that one then (http_request.c, `ap_internal_redirect`). None of that
/// may reach the client, nor take anything of what it has sent.
pub struct Parked(Vec<Kept>);

/// What a request had before.
struct Kept {
    request: NonNull<sys::request_rec>,
    input: [*mut sys::ap_filter_t; 2],
    output: [*mut sys::ap_filter_t; 2],
    eos_sent: c_int,
}

// SAFETY: only the thread that has the requests to itself uses the pointers (`restore`).
unsafe impl Send for Parked {}

impl Parked {
    /// Takes the filters of a chain of requests away, which have begun no response.
    ///
    /// # Safety
    ///
    /// The requests are live, and this is their handlers' thread.
    pub(super) unsafe fn new(chain: impl Iterator<Item = NonNull<sys::request_rec>>) -> Self {
        // SAFETY: the caller vouches for the requests and their connection.
        Self(chain.map(|request| unsafe { Kept::of(request) }).collect())
    }

    /// Gives the filters back.
    ///
    /// # Safety
    ///
    /// The requests are live. The MPM's thread has let their connection go, and this thread has it
    /// to itself.
    pub unsafe fn restore(self) {
        for kept in self.0 {
            let request = kept.request.as_ptr();
            // SAFETY: the caller vouches for the request. The filters are in its pool.
            unsafe {
                [(*request).input_filters, (*request).proto_input_filters] = kept.input;
                [(*request).output_filters, (*request).proto_output_filters] = kept.output;
                (*request).eos_sent = kept.eos_sent;
            }
        }
    }
}

impl Kept {
    /// Makes a request read and write nothing.
    ///
    /// # Safety
    ///
    /// As for [`Parked::new`].
    unsafe fn of(place: NonNull<sys::request_rec>) -> Self {
        let request = place.as_ptr();
        // SAFETY: the caller vouches for the request and its connection.
        unsafe {
            let connection = (*request).connection;
            let kept = Self {
                request: place,
                input: [(*request).input_filters, (*request).proto_input_filters],
                output: [(*request).output_filters, (*request).proto_output_filters],
                eos_sent: (*request).eos_sent,
            };
            (*request).input_filters = (*connection).input_filters;
            (*request).proto_input_filters = (*connection).input_filters;
            (*request).output_filters = (*connection).output_filters;
            (*request).proto_output_filters = (*connection).output_filters;
            (*request).eos_sent = 1;
            filters::add_nothing(request);
            kept
        }
    }
}
