//! Reading from and writing to the filters of a connection.

use std::io;

use super::error::check;
use super::{filters, sys};

/// The filters of a connection, and the brigades that carry bytes to and from them.
///
/// No method waits: input filters give what has arrived, and output filters keep what they cannot
/// write.
pub(super) struct Brigades {
    connection: *mut sys::conn_rec,
    input: *mut sys::apr_bucket_brigade,
    output: *mut sys::apr_bucket_brigade,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// This many bytes.
    Bytes(usize),
    /// The mark that ends a request's body, and no bytes before it.
    EndOfBody,
    /// Nothing has arrived.
    Nothing,
    /// Nothing will ever arrive again.
    End,
}

impl Brigades {
    /// # Safety
    ///
    /// `connection` is live, and lives longer than the result. Its filters run only during calls of
    /// the result.
    pub(super) unsafe fn new(connection: *mut sys::conn_rec) -> Self {
        // SAFETY: the caller vouches for the connection; the brigades live in its pool.
        let create =
            || unsafe { sys::apr_brigade_create((*connection).pool, (*connection).bucket_alloc) };
        Self {
            connection,
            input: create(),
            output: create(),
        }
    }

    /// Reads what has arrived.
    ///
    /// # Errors
    ///
    /// When a filter reports one.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        let wanted = sys::apr_off_t::try_from(buffer.len()).unwrap_or(sys::apr_off_t::MAX);
        // SAFETY: the connection is live and no filter runs (`new`); APR writes at most `length`
        // bytes into the buffer.
        unsafe {
            let status = sys::ap_get_brigade(
                (*self.connection).input_filters,
                self.input,
                sys::AP_MODE_READBYTES,
                sys::APR_NONBLOCK_READ,
                wanted,
            );
            if status == sys::APR_EOF {
                return Ok(Input::End);
            }
            check(status)?;
            let mut length = buffer.len();
            let status =
                sys::apr_brigade_flatten(self.input, buffer.as_mut_ptr().cast(), &raw mut length);
            let ends_body = has_end_of_body(self.input);
            sys::apr_brigade_cleanup(self.input.cast());
            check(status)?;
            Ok(match length {
                0 if ends_body => Input::EndOfBody,
                0 => Input::Nothing,
                length => Input::Bytes(length),
            })
        }
    }

    /// Whether the core input filter holds bytes that a filter above it has yet to take.
    pub(super) fn core_holds_input(&mut self) -> bool {
        // SAFETY: as in `read`. A speculative read leaves the byte in the filter.
        unsafe {
            let status = sys::ap_get_brigade(
                filters::last((*self.connection).input_filters),
                self.input,
                sys::AP_MODE_SPECULATIVE,
                sys::APR_NONBLOCK_READ,
                1,
            );
            let mut length: sys::apr_off_t = 0;
            let counted = sys::apr_brigade_length(self.input, 0, &raw mut length);
            sys::apr_brigade_cleanup(self.input.cast());
            status == sys::APR_SUCCESS && counted == sys::APR_SUCCESS && length > 0
        }
    }

    /// Passes bytes to the output filters.
    ///
    /// # Errors
    ///
    /// When a filter reports one.
    pub(super) fn pass_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: the connection is live and no filter runs (`new`); filters copy what they keep of
        // a transient bucket.
        unsafe {
            let bucket = sys::apr_bucket_transient_create(
                bytes.as_ptr().cast(),
                bytes.len(),
                (*self.connection).bucket_alloc,
            );
            self.pass(Some(bucket))
        }
    }

    /// Passes a bucket to the output filters, or calls them with an empty brigade.
    ///
    /// # Errors
    ///
    /// When a filter reports one.
    ///
    /// # Safety
    ///
    /// The bucket is a live bucket of the connection, and in no brigade.
    pub(super) unsafe fn pass(&mut self, bucket: Option<*mut sys::apr_bucket>) -> io::Result<()> {
        // SAFETY: the connection is live and no filter runs (`new`); the caller vouches for the
        // bucket. The brigade is empty before and after this.
        unsafe {
            if let Some(bucket) = bucket {
                filters::append(self.output, bucket);
            }
            let status = sys::ap_pass_brigade((*self.connection).output_filters, self.output);
            sys::apr_brigade_cleanup(self.output.cast());
            check(status)
        }
    }
}

/// Whether a brigade contains the mark that ends a request's body.
///
/// # Safety
///
/// The brigade is live, and the caller has it to itself.
pub(super) unsafe fn has_end_of_body(brigade: *mut sys::apr_bucket_brigade) -> bool {
    // SAFETY: the caller has the brigade to itself.
    unsafe {
        filters::buckets(brigade)
            .any(|bucket| (*bucket).type_ == &raw const sys::apr_bucket_type_eos)
    }
}
