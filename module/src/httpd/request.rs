//! The request that asks for a WebSocket.

mod chain;
mod connection;
mod response;
mod variable;

pub use response::ErrorPage;

use std::ffi::{CStr, c_char, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use websocket_plugin::abi;

use super::log::{Client, Level, give_ids, is_logged, request_line};
use super::pool::{Pool, bytes};
use super::sys;

/// httpd's `HTTP_VERSION(1, 1)`.
const HTTP_1_1: c_int = 1001;

/// A request while its handler runs.
///
/// A copyable handle. The code that makes one guarantees that the request outlives all copies.
/// Methods that write say which thread may call them.
#[derive(Clone, Copy)]
pub struct Request(NonNull<sys::request_rec>);

// SAFETY: the methods for any thread only read what httpd does not change while the handler runs.
// The other methods say that they are for the handler's thread.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

/// A name that identifies a virtual host, also after a restart: its host name and its first
/// address. `None` for the main server.
///
/// # Safety
///
/// `server` is live.
#[must_use]
pub unsafe fn virtual_host(server: *const sys::server_rec) -> Option<Vec<u8>> {
    // SAFETY: the caller vouches for the server, which keeps its address and both names.
    unsafe {
        let server = &*server;
        if server.is_virtual == 0 {
            return None;
        }
        let address = server.addrs.as_ref();
        let name = bytes(server.server_hostname).unwrap_or_default();
        let place = address.and_then(|address| bytes(address.virthost));
        let port = address.map_or(0, |address| address.host_port);
        Some([name, place.unwrap_or_default(), &port.to_be_bytes()].join(&b' '))
    }
}

impl Request {
    /// Wraps a request.
    ///
    /// # Safety
    ///
    /// `request` is live until the last copy of the result is gone.
    pub unsafe fn new(request: *mut sys::request_rec) -> Self {
        Self(NonNull::new(request).expect("httpd passes no null requests"))
    }

    fn get(&self) -> &sys::request_rec {
        // SAFETY: `new` demands a live request.
        unsafe { self.0.as_ref() }
    }

    fn connection(&self) -> &sys::conn_rec {
        // SAFETY: a request has a connection for as long as it lives.
        unsafe { &*self.get().connection }
    }

    pub fn as_ptr(self) -> *mut sys::request_rec {
        self.0.as_ptr()
    }

    pub fn per_dir_config(self) -> *mut sys::ap_conf_vector_t {
        self.get().per_dir_config
    }

    fn pool(self) -> Pool {
        // SAFETY: the request's pool lives as long as the request.
        unsafe { Pool::new(self.get().pool) }
    }

    /// A text of the request, which does not change while the handler runs.
    fn text(&self, text: *const c_char) -> Option<&[u8]> {
        // SAFETY: httpd's strings are terminated and live in the request's pool.
        unsafe { bytes(text) }
    }

    /// The pointer that plugins get from `WebSocketServer::request`.
    #[must_use]
    pub fn as_abi(self) -> *mut abi::RequestRec {
        self.0.as_ptr().cast()
    }

    /// The name of the handler that httpd chose, empty if none.
    #[must_use]
    pub fn handler(&self) -> &[u8] {
        self.text(self.get().handler).unwrap_or_default()
    }

    /// Whether the response must not have a body, as for HEAD.
    #[must_use]
    pub fn is_header_only(&self) -> bool {
        self.get().header_only != 0
    }

    /// Whether the request came with HTTP/1.1 or later.
    #[must_use]
    pub fn is_http_1_1(&self) -> bool {
        self.get().proto_num >= HTTP_1_1
    }

    /// If the request is a stream of an HTTP/2 connection: a number that identifies that connection
    /// among the open ones.
    #[must_use]
    pub fn http2_connection(&self) -> Option<usize> {
        let master = self.connection().master;
        (!master.is_null()).then(|| master.addr())
    }

    /// Whether the method is GET or HEAD.
    #[must_use]
    pub fn is_get(&self) -> bool {
        self.get().method_number == sys::M_GET
    }

    /// The query string, empty if there is none.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        self.text(self.get().args).unwrap_or_default()
    }

    /// Whether httpd's default handler, which runs last, would find nothing to serve and answer 404
    /// (core.c, `default_handler`).
    #[must_use]
    pub fn finds_no_file(&self) -> bool {
        let request = self.get();
        if ![sys::M_GET, sys::M_POST].contains(&request.method_number) {
            return false;
        }
        let has_rest = || {
            self.text(request.path_info)
                .is_some_and(|rest| !rest.is_empty())
        };
        match request.finfo.filetype {
            sys::APR_NOFILE | sys::APR_DIR => true,
            _ => request.used_path_info != sys::AP_REQ_ACCEPT_PATH_INFO && has_rest(),
        }
    }

    /// The path of the request's URL, as redirects and rewrite rules have left it.
    #[must_use]
    pub fn uri(&self) -> &[u8] {
        self.text(self.get().uri).unwrap_or_default()
    }

    /// Like [`uri`](Self::uri), as a C string.
    #[must_use]
    pub fn uri_ptr(&self) -> *const c_char {
        self.get().uri
    }

    /// The method.
    #[must_use]
    pub fn method_ptr(&self) -> *const c_char {
        self.get().method
    }

    /// The target in the request line, as the client wrote it.
    #[must_use]
    pub fn target_ptr(&self) -> *const c_char {
        self.get().unparsed_uri
    }

    /// The part of the path behind the resource that httpd found; null if there is none.
    #[must_use]
    pub fn path_info_ptr(&self) -> *const c_char {
        self.get().path_info
    }

    /// The file that httpd has found, or would have, followed by the rest of the path.
    pub fn whole_filename(&self) -> Vec<u8> {
        let [file, rest] = [self.get().filename, self.get().path_info];
        let [file, rest] = [file, rest].map(|text| self.text(text).unwrap_or_default());
        [file, rest].concat()
    }

    /// The query string; null if there is none.
    #[must_use]
    pub fn query_ptr(&self) -> *const c_char {
        self.get().args
    }

    /// The user that httpd authenticated; null if it did not.
    #[must_use]
    pub fn user_ptr(&self) -> *const c_char {
        self.get().user
    }

    /// The user that httpd authenticated, if the name is UTF-8.
    #[must_use]
    pub fn user(&self) -> Option<Box<str>> {
        let user = self.text(self.user_ptr())?;
        str::from_utf8(user).ok().map(Box::from)
    }

    /// The client's IP address, as modules such as mod_remoteip have set it.
    #[must_use]
    pub fn client_address_ptr(&self) -> *const c_char {
        self.get().useragent_ip
    }

    /// The client's IP address, as modules such as mod_remoteip have set it.
    #[must_use]
    pub fn client_address(&self) -> &[u8] {
        self.text(self.client_address_ptr()).unwrap_or_default()
    }

    /// The name of the request's [`virtual_host`].
    #[must_use]
    pub fn virtual_host(&self) -> Option<Vec<u8>> {
        // SAFETY: a request has a server for as long as it lives.
        unsafe { virtual_host(self.get().server) }
    }

    /// The client's TCP port, as mod_remoteip and the like see it, in decimal digits. For the
    /// handler's thread.
    #[must_use]
    pub fn client_port_ptr(&self) -> *const c_char {
        // SAFETY: httpd sets the address before it runs any handler, and it lives as long as the
        // request.
        let port = unsafe { (*self.get().useragent_addr).port };
        self.keep(port.to_string().as_bytes())
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme_ptr(&self) -> *const c_char {
        // SAFETY: the hook takes a live request and returns a constant.
        unsafe { sys::ap_run_http_scheme(self.0.as_ptr()) }
    }

    /// Name and value of the request header at this position.
    #[must_use]
    pub fn header_at(&self, index: usize) -> Option<(*const c_char, *const c_char)> {
        // SAFETY: httpd has read the request's head, so the table does not change any more. Its
        // array holds as many entries as it says.
        unsafe {
            let array = sys::apr_table_elts(self.get().headers_in);
            let count = usize::try_from((*array).nelts).ok()?;
            let entries = (*array).elts.cast::<sys::apr_table_entry_t>();
            let entry = (index < count).then(|| &*entries.add(index))?;
            Some((entry.key.cast_const(), entry.val.cast_const()))
        }
    }

    /// The value of a request header; null if there is none. Valid while the request is.
    #[must_use]
    pub fn header_ptr(&self, name: &CStr) -> *const c_char {
        // SAFETY: httpd has read the request's head, so the table does not change any more.
        unsafe { sys::apr_table_get(self.get().headers_in, name.as_ptr()) }
    }

    /// The value of a request header. httpd has joined repeated headers with commas.
    #[must_use]
    pub fn header(&self, name: &CStr) -> Option<&[u8]> {
        self.text(self.header_ptr(name))
    }

    /// Whether the `Upgrade` header names the protocol `websocket`.
    pub fn wants_websocket(&self) -> bool {
        let upgrade = self.header(c"Upgrade").unwrap_or_default();
        let mut protocols = upgrade.split(|&byte| byte == b',');
        protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &[u8] {
        self.text(self.scheme_ptr()).unwrap_or_default()
    }

    /// The host the request is for, as httpd sees it.
    #[must_use]
    pub fn hostname(&self) -> &[u8] {
        self.text(self.get().hostname).unwrap_or_default()
    }

    /// The port the request is for, as httpd sees it.
    #[must_use]
    pub fn port(&self) -> u16 {
        // SAFETY: takes a live request.
        unsafe { sys::ap_get_server_port(self.0.as_ptr()) }
    }

    /// httpd's `Timeout`. `None` means no limit.
    ///
    /// A negative `Timeout` means no limit, as in APR. So does 0 here: httpd itself takes 0 for
    /// "give up instead of waiting", which no connection that stays open would survive.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        // SAFETY: a request has a server for as long as it lives.
        let microseconds = unsafe { (*self.get().server).timeout };
        let microseconds = u64::try_from(microseconds)
            .ok()
            .filter(|&limit| limit > 0)?;
        Some(Duration::from_micros(microseconds))
    }

    /// Writes a line about this request to the error log. Any thread may call this.
    pub fn log(&self, level: Level, message: &str) {
        let trace = self.trace();
        // SAFETY: the request is live.
        unsafe { request_line(self.0.as_ptr(), level, &format!("{message}{trace}")) }
    }

    /// Whether `LogLevel` has lines of this level written. Any thread may call this.
    #[must_use]
    pub fn is_logged(&self, level: Level) -> bool {
        // SAFETY: the request is live.
        unsafe { is_logged(self.0.as_ptr(), level) }
    }

    /// The end of each line: the `traceparent` of the request (W3C Trace Context), if it has a
    /// valid one.
    fn trace(&self) -> String {
        let parent = self.header(c"traceparent").and_then(traceparent);
        parent.map_or_else(String::new, |parent| format!(", traceparent {parent}"))
    }

    /// Sets a note for the access log (`%{...}n`). For the one thread that uses the connection.
    pub fn set_note(&self, name: &CStr, value: &str) {
        // SAFETY: no other thread writes to the table, which copies what it is given.
        unsafe {
            sys::apr_table_set(
                self.get().notes,
                name.as_ptr(),
                self.pool().copy(value.as_bytes()),
            );
        }
    }

    /// Copies a text into the request's pool. For the handler's thread.
    #[must_use]
    pub fn keep(&self, text: &[u8]) -> *const c_char {
        self.pool().copy(text)
    }

    /// Lets any thread write lines about the request to the error log. For the handler's thread.
    pub fn let_threads_log(&self) {
        // SAFETY: the request is live, and this is its handler's thread.
        unsafe { give_ids(self.0.as_ptr()) }
    }

    /// Sets a response header. For the handler's thread, before the response is sent.
    pub fn set_response_header(&self, name: &CStr, value: &[u8]) {
        // SAFETY: only the handler's thread writes to the table, which copies what it is given.
        unsafe {
            sys::apr_table_set(
                self.get().headers_out,
                name.as_ptr(),
                self.pool().copy(value),
            );
        }
    }

    /// Adds a header to an error response. For the handler's thread.
    pub fn add_error_header(&self, name: &CStr, value: &[u8]) {
        // SAFETY: only the handler's thread writes to the table, which copies what it is given.
        unsafe {
            sys::apr_table_add(
                self.get().err_headers_out,
                name.as_ptr(),
                self.pool().copy(value),
            );
        }
    }

    /// Removes all response headers. For the handler's thread, before the response is sent.
    pub fn clear_response_headers(&self) {
        // SAFETY: only the handler's thread writes to the table.
        unsafe { sys::apr_table_clear(self.get().headers_out) }
    }

    /// The client, for lines in the error log when the request is gone.
    #[must_use]
    pub fn client(&self) -> Client {
        let address = self.client_address();
        // SAFETY: the address of the client lives as long as the request.
        let port = unsafe { self.get().useragent_addr.as_ref() }.map_or(0, |address| address.port);
        // SAFETY: a server lives as long as the process that serves requests for it.
        unsafe { Client::new(self.get().server, address, port, self.trace()) }
    }
}

/// The longest `traceparent` that is logged, in bytes. One of version 00 has 55 bytes.
const LONGEST_TRACEPARENT: usize = 64;

/// The value of a `traceparent` header, if it has only the characters that it may have.
fn traceparent(value: &[u8]) -> Option<&str> {
    let is_good = (1..=LONGEST_TRACEPARENT).contains(&value.len())
        && value
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    str::from_utf8(value).ok().filter(|_| is_good)
}

#[cfg(test)]
mod tests {
    use super::traceparent;

    #[test]
    fn a_traceparent_is_hexadecimal_digits_and_dashes_and_not_long() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(good.as_bytes()), Some(good));
        for bad in ["", "00 1", "x", "00-\n", &"0".repeat(65)] {
            assert_eq!(traceparent(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
