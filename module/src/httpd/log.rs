//! httpd's error log.

mod throttle;

pub use throttle::Throttle;

use std::ffi::{CString, c_int};
use std::ptr;

use super::slot::module_index;
use super::sys;

/// The severity of a line. `LogLevel` decides which levels are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed that an administrator should know about.
    Error,
    /// Something may fail later, or is deprecated.
    Warning,
    /// What a peer or a plugin did. It helps to understand a single connection.
    Info,
    /// Details for developers.
    Debug,
    /// Trace lines of plugins.
    Trace,
    /// Each handshake.
    Trace2,
    /// Each message and control frame.
    Trace4,
}

impl Level {
    const fn number(self) -> c_int {
        match self {
            Self::Error => sys::APLOG_ERR,
            Self::Warning => sys::APLOG_WARNING,
            Self::Info => sys::APLOG_INFO,
            Self::Debug => sys::APLOG_DEBUG,
            Self::Trace => sys::APLOG_TRACE1,
            Self::Trace2 => sys::APLOG_TRACE2,
            Self::Trace4 => sys::APLOG_TRACE4,
        }
    }
}

/// Logs a line about the server as a whole.
pub fn log_server(level: Level, message: &str) {
    // SAFETY: httpd sets `ap_server_conf` before it runs any hook, and does not change it while
    // threads run. A null pointer, as while the configuration is read, is allowed.
    unsafe { server_line(sys::ap_server_conf, level, message) }
}

/// Logs a line about `server`.
///
/// # Safety
///
/// `server` is null or points to a live `server_rec`.
pub unsafe fn server_line(server: *const sys::server_rec, level: Level, message: &str) {
    let message = printable(message);
    // SAFETY: the caller vouches for `server`; the format takes the one C string it is given.
    unsafe {
        sys::ap_log_error_(
            c"mod_websocket".as_ptr(),
            0,
            module_index(),
            level.number() | sys::APLOG_NOERRNO,
            0,
            server,
            c"%s".as_ptr(),
            message.as_ptr(),
        );
    }
}

/// Logs a line with the client and the request it belongs to.
///
/// # Safety
///
/// `request` points to a live `request_rec`.
pub unsafe fn request_line(request: *const sys::request_rec, level: Level, message: &str) {
    debug_assert!(!ptr::eq(request, ptr::null()));
    // SAFETY: the caller vouches for `request`.
    if unsafe { !is_logged(request, level) } {
        return;
    }
    // SAFETY: as above; a request has a connection for as long as it lives. Log lines are written
    // before this returns, and no code that writes them keeps the records it gets.
    unsafe {
        if (*(*request).connection).sbh.is_null() {
            let mut connection = ptr::read((*request).connection);
            connection.sbh = PLACE.0.as_ptr().cast_mut().cast();
            let mut request = ptr::read(request);
            request.connection = &raw mut connection;
            return write_request_line(&raw const request, level, message);
        }
        write_request_line(request, level, message);
    }
}

/// What httpd sees as the scoreboard place of a connection that no thread of the MPM serves.
/// `ap_sb_handle_t` has the numbers of a child and of a thread. For these numbers httpd finds no
/// entry. Without any place, the error log would call the client `remote`, as if it were a server
/// behind this one.
struct Place([c_int; 4]);

static PLACE: Place = Place([-1; 4]);

/// Gives a request and its connection the ids that httpd would give them with their first line.
/// That takes memory from their pools, so only the thread that owns them may do it. Other threads,
/// which log lines too, may not.
///
/// # Safety
///
/// `request` points to a live `request_rec`, and this is its handler's thread.
pub unsafe fn give_ids(request: *mut sys::request_rec) {
    // SAFETY: the caller vouches for both records; the ids live in their pools. Nobody else reads
    // or writes the fields yet.
    unsafe {
        let connection = (*request).connection;
        if (*connection).log_id.is_null() {
            let id = &raw mut (*connection).log_id;
            sys::ap_run_generate_log_id(connection, ptr::null(), id);
        }
        if (*request).log_id.is_null() {
            let id = &raw mut (*request).log_id;
            sys::ap_run_generate_log_id(connection, request, id);
        }
    }
}

/// # Safety
///
/// As for [`request_line`].
unsafe fn write_request_line(request: *const sys::request_rec, level: Level, message: &str) {
    let message = printable(message);
    // SAFETY: the caller vouches for `request`; the format takes the one C string it is given.
    unsafe {
        sys::ap_log_rerror_(
            c"mod_websocket".as_ptr(),
            0,
            module_index(),
            level.number() | sys::APLOG_NOERRNO,
            0,
            request,
            c"%s".as_ptr(),
            message.as_ptr(),
        );
    }
}

/// Whether `LogLevel` has lines of this level written for a request.
///
/// # Safety
///
/// `request` points to a live `request_rec`.
pub unsafe fn is_logged(request: *const sys::request_rec, level: Level) -> bool {
    // SAFETY: the caller vouches for `request`; the index is this module's.
    unsafe { sys::ap_get_request_module_loglevel(request, module_index()) >= level.number() }
}

/// A client, for lines that are logged when its request is gone.
pub struct Client {
    server: *const sys::server_rec,
    /// The client as httpd would write it.
    name: Box<str>,
    /// Text at the end of each line.
    suffix: Box<str>,
}

// SAFETY: the server is only handed to `ap_log_error_`, which any thread may call.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// A client of `server`. Each line ends with `suffix`.
    ///
    /// # Safety
    ///
    /// `server` is live as long as the result.
    pub unsafe fn new(
        server: *const sys::server_rec,
        address: &[u8],
        port: u16,
        suffix: String,
    ) -> Self {
        let address = String::from_utf8_lossy(address);
        Self {
            server,
            name: format!("[client {address}:{port}]").into(),
            suffix: suffix.into(),
        }
    }

    /// Writes a line about this client to the error log. For any thread.
    pub fn log(&self, level: Level, message: &str) {
        let Self { name, suffix, .. } = self;
        // SAFETY: the server is live (`new`).
        unsafe { server_line(self.server, level, &format!("{name} {message}{suffix}")) }
    }
}

/// Escapes NUL, which would cut the line short. httpd escapes the other control characters.
fn printable(message: &str) -> CString {
    CString::new(message.replace('\0', "\\0")).unwrap_or_default()
}
