//! The response to a request.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::time::Duration;

use super::Request;
use crate::httpd::answer::Answer;
use crate::httpd::current_thread::CurrentThread;
use crate::httpd::pool::bytes;
use crate::httpd::{filters, sys};

/// Headers of the opening handshake (RFC 6455, section 4.2.2), which only this module and the
/// plugin set.
const OF_OPENING: [&CStr; 5] = [
    c"Connection",
    c"Sec-WebSocket-Accept",
    c"Sec-WebSocket-Extensions",
    c"Sec-WebSocket-Protocol",
    c"Upgrade",
];

/// Headers that describe content, which a 101 response does not have (RFC 9110, section 8.6; RFC
/// 9112, section 6.1).
const OF_CONTENT: [&CStr; 2] = [c"Content-Length", c"Transfer-Encoding"];

/// Where httpd takes the page for an error status from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorPage {
    /// httpd's own page.
    Canned,
    /// A text, or a page of this server (`ErrorDocument`).
    Here,
    /// A redirect to another server (`ErrorDocument` with a URL), or a mistake.
    Elsewhere,
    /// Nowhere: httpd does not know the status, and would answer 500.
    Unknown,
}

impl Request {
    /// Where httpd would take the page for an error status from. For the handler's thread.
    #[must_use]
    pub fn error_page(self, status: u16) -> ErrorPage {
        // SAFETY: the request is live and this is its handler's thread. The index of a status is
        // valid for the text behind it, which lives in the request's pool or in the configuration.
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

    /// Tells httpd to send its own page for an error status, whatever `ErrorDocument` says. For the
    /// handler's thread.
    pub fn send_canned_error(self, status: u16) {
        self.set_status(status);
        // SAFETY: the request is live, this is its handler's thread and nothing has been sent yet.
        unsafe { sys::ap_send_error_response(self.0.as_ptr(), 0) }
    }

    /// Sends a page with an error status in the way httpd sends its own: without content filters,
    /// and with the headers that modules add to errors. `line` is the status line without the
    /// version. For the handler's thread.
    pub fn send_error_page(self, status: u16, line: &str, media_type: &CStr, body: &[u8]) {
        self.set_status(status);
        let line = self.keep(line.as_bytes());
        let media_type = self.keep(media_type.to_bytes());
        let request = self.0.as_ptr();
        // SAFETY: the request is live, this is its handler's thread and nothing has been sent yet;
        // the texts live in the request's pool, and `body` is read during the call.
        unsafe {
            (*request).status_line = line;
            (*request).output_filters = (*request).proto_output_filters;
            sys::ap_run_insert_error_filter(request);
            (*request).content_encoding = ptr::null();
            (*request).content_languages = ptr::null_mut();
            sys::ap_set_content_type(request, media_type);
            let length = c_int::try_from(body.len()).unwrap_or(c_int::MAX);
            sys::ap_set_content_length(request, length.into());
            // A client that is gone gets no page.
            let _ = sys::ap_rwrite(body.as_ptr().cast::<c_void>(), length, request);
        }
    }

    /// Sends a page with status 200 and the response headers. For the handler's thread.
    pub fn send_page(self, media_type: &CStr, body: &[u8]) {
        let media_type = self.keep(media_type.to_bytes());
        let request = self.0.as_ptr();
        // SAFETY: the request is live, this is its handler's thread and nothing has been sent yet;
        // the text lives in the request's pool, and `body` is read during the call.
        unsafe {
            sys::ap_set_content_type(request, media_type);
            let length = c_int::try_from(body.len()).unwrap_or(c_int::MAX);
            sys::ap_set_content_length(request, length.into());
            // A client that is gone gets no page.
            let _ = sys::ap_rwrite(body.as_ptr().cast::<c_void>(), length, request);
        }
    }

    /// Adds the headers that other modules set for every response. Leaves out those that would
    /// spoil the opening handshake. For the handler's thread, just before it sets the headers of
    /// the opening handshake.
    ///
    /// Some of these headers are in `err_headers_out`, which mod_usertrack and others fill before
    /// the handler runs. Output filters add the others, for `Header always` (mod_headers) or a
    /// session (mod_session). This function inserts such filters, as httpd does for an error, whose
    /// response does not have the headers of a success either. An empty response passes through
    /// them and ends in a filter that writes nothing.
    pub fn add_headers_of_all_responses(self) {
        let request = self.0.as_ptr();
        self.set_status(101);
        // SAFETY: the request is live, this is its handler's thread, and no filter has seen any of
        // its response yet. Filters and headers are put back before other code can look at them.
        // Everything is in the pool of the request, into which the tables copy names and values.
        unsafe {
            let (pool, connection) = ((*request).pool, (*request).connection);
            let filters = ((*request).output_filters, (*request).proto_output_filters);
            let of_plugin = (*request).headers_out;

            (*request).headers_out = sys::apr_table_make(pool, 2);
            (*request).output_filters = (*connection).output_filters;
            (*request).proto_output_filters = (*connection).output_filters;
            filters::add_sink(request);
            sys::ap_run_insert_error_filter(request);
            let brigade = sys::apr_brigade_create(pool, (*connection).bucket_alloc);
            // The result of the filters for a response without content does not matter.
            let _ = sys::ap_pass_brigade((*request).output_filters, brigade);
            sys::apr_brigade_destroy(brigade);

            ((*request).output_filters, (*request).proto_output_filters) = filters;
            let of_all = (*request).err_headers_out;
            for name in OF_OPENING {
                sys::apr_table_unset(of_all, name.as_ptr());
            }
            (*request).headers_out = sys::apr_table_overlay(pool, of_all, of_plugin);
            sys::apr_table_clear(of_all);
            for name in OF_CONTENT {
                sys::apr_table_unset((*request).headers_out, name.as_ptr());
            }
        }
    }

    /// Sends a 101 response with the response headers, which stay in place for the access log. For
    /// the handler's thread, when the request has left HTTP.
    pub(super) fn send_switching_protocols(self) {
        self.set_status(101);
        let request = self.0.as_ptr();
        // SAFETY: the request is live and this is its handler's thread; httpd sends the response at
        // once, flushes it, and clears the table it has sent.
        unsafe {
            (*request).status_line = sys::ap_get_status_line(sys::HTTP_SWITCHING_PROTOCOLS);
            let sent = sys::apr_table_copy((*request).pool, (*request).headers_out);
            sys::ap_send_interim_response(request, 1);
            (*request).headers_out = sent;
        }
    }

    /// Does what httpd does when the handler has given this answer: sends the page of an error, and
    /// the end of the response. Waits until the client has been sent all of it. A client that takes
    /// nothing for `patience` gets no more. For the thread that has the suspended connection to
    /// itself.
    pub fn complete(self, answer: Answer, patience: Duration) {
        // SAFETY: the requests are live, and this thread has their connection to itself. These are
        // the steps of `ap_process_async_request`, and for redirected requests those of
        // `ap_internal_redirect` before, up to the end of the outermost request.
        unsafe {
            let _thread = CurrentThread::lend(self.get().connection);
            self.limit_waiting(patience);
            sys::ap_die(answer.into_status(), self.0.as_ptr());
            for outer in self.chain().skip(1) {
                sys::ap_finalize_request_protocol(outer.as_ptr());
            }
            let connection = self.get().connection;
            let allocator = (*connection).bucket_alloc;
            let brigade = sys::apr_brigade_create(self.get().pool, allocator);
            filters::append(brigade, sys::apr_bucket_flush_create(allocator));
            // A client that is gone gets nothing.
            let _ = sys::ap_pass_brigade((*connection).output_filters, brigade);
            sys::apr_brigade_destroy(brigade);
        }
    }

    /// Has writes wait for the client for so long at most.
    fn limit_waiting(self, patience: Duration) {
        let most = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
        // SAFETY: the connection has a socket, and no other thread uses it.
        unsafe {
            let socket = sys::ap_get_conn_socket(self.get().connection);
            let mut limit = 0;
            sys::apr_socket_timeout_get(socket, &raw mut limit);
            if !(0..=most).contains(&limit) {
                sys::apr_socket_timeout_set(socket, most);
            }
        }
    }

    /// Tells httpd to end the connection after the response. For the handler's thread.
    pub fn end_connection(self) {
        // SAFETY: the handler has the connection to itself.
        unsafe { (*self.get().connection).keepalive = sys::AP_CONN_CLOSE };
    }

    /// Sets the status. Ends the connection after the response where httpd does so for that status
    /// (httpd.h, `ap_status_drops_connection`).
    fn set_status(self, status: u16) {
        const ENDS: [u16; 8] = [400, 408, 411, 413, 414, 500, 501, 503];
        // SAFETY: the handler's thread alone writes to the request.
        unsafe { (*self.0.as_ptr()).status = status.into() };
        if ENDS.contains(&status) {
            self.end_connection();
        }
    }
}
