//! What a request is answered with.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use super::Request;
use crate::httpd::pool::bytes;
use crate::httpd::sys;

/// Where httpd takes the page for an error status from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorPage {
    /// httpd's own page.
    Canned,
    /// A text, or a page of this server (`ErrorDocument`).
    Here,
    /// A redirect to another server (`ErrorDocument` with a URL), or one httpd cannot make sense of.
    Elsewhere,
    /// Nowhere: httpd does not know the status and would answer 500.
    Unknown,
}

impl Request {
    /// What httpd would do with an error status. For the handler's thread.
    #[must_use]
    pub fn error_page(self, status: u16) -> ErrorPage {
        // SAFETY: the request is live and this is its handler's thread. The index of a status is valid
        // for the text behind it, which lives in the request's pool or in the configuration.
        let document = unsafe {
            let index = sys::ap_index_of_response(status.into());
            let unknown = sys::ap_index_of_response(sys::HTTP_INTERNAL_SERVER_ERROR);
            if index == unknown && c_int::from(status) != sys::HTTP_INTERNAL_SERVER_ERROR {
                return ErrorPage::Unknown;
            }
            bytes(sys::ap_response_code_string(self.0.as_ptr(), index))
        };
        match document {
            None => ErrorPage::Canned,
            Some([b'"' | b'/', ..]) => ErrorPage::Here,
            Some(_) => ErrorPage::Elsewhere,
        }
    }

    /// Has httpd send its own page for an error status, whatever `ErrorDocument` says. For the handler's
    /// thread.
    pub fn send_canned_error(self, status: u16) {
        self.set_status(status);
        // SAFETY: the request is live, this is its handler's thread and nothing has been sent yet.
        unsafe { sys::ap_send_error_response(self.0.as_ptr(), 0) }
    }

    /// Sends a page with an error status, as httpd sends its own: without the filters of the content,
    /// and with the headers modules add to errors. For the handler's thread.
    pub fn send_error_page(self, status: u16, line: &str, media_type: &CStr, body: &[u8]) {
        self.set_status(status);
        let line = self.keep(line.as_bytes());
        let media_type = self.keep(media_type.to_bytes());
        let request = self.0.as_ptr();
        // SAFETY: the request is live, this is its handler's thread and nothing has been sent yet; the
        // texts live in the request's pool, and `body` is read during the call.
        unsafe {
            (*request).status_line = line;
            (*request).output_filters = (*request).proto_output_filters;
            sys::ap_run_insert_error_filter(request);
            (*request).content_encoding = ptr::null();
            (*request).content_languages = ptr::null_mut();
            sys::ap_set_content_type(request, media_type);
            let length = c_int::try_from(body.len()).unwrap_or(c_int::MAX);
            sys::ap_set_content_length(request, length.into());
            // Nothing can be done about a client that is gone.
            let _ = sys::ap_rwrite(body.as_ptr().cast::<c_void>(), length, request);
        }
    }

    /// Has the connection end with the response to this request.
    pub fn end_connection(self) {
        // SAFETY: the handler has the connection to itself.
        unsafe { (*self.get().connection).keepalive = sys::AP_CONN_CLOSE };
    }

    /// Sets the status, and what httpd makes of it for the connection (httpd.h,
    /// `ap_status_drops_connection`).
    fn set_status(self, status: u16) {
        const ENDS: [u16; 8] = [400, 408, 411, 413, 414, 500, 501, 503];
        // SAFETY: the handler's thread alone writes to the request.
        unsafe { (*self.0.as_ptr()).status = status.into() };
        if ENDS.contains(&status) {
            self.end_connection();
        }
    }
}
