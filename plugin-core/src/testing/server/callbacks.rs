//! The functions in the test host's table.
//!
//! A plugin calls them with a pointer to a [`Server`]. By the rules of the tables it is valid as
//! long as the client is connected. The SAFETY notes below refer to this.

use super::events::Event;
use super::{C_SIZE, LogLine, Received, Refusal, Server, lock};
use crate::abi::{
    self, CLOSED_BY_PLUGIN, Discard, Ending, EndingServer, EventServer, ExtendedServer, FlowServer,
    LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARNING, MetricServer, OnDrain, OnEvent, OnPart,
    POST_ACCEPTED, POST_CLOSED, POST_FULL, PartServer, RequestRec, SEND_ACCEPTED, SEND_BUSY,
    SEND_CLOSED, SEND_FULL, ServerTable, TopicServer, VariableServer, WEBSOCKET_SERVER_VERSION_1,
    WRITE_END, WebSocketServer, WriteServer,
};
use crate::testing::metrics::metric;
use crate::testing::server::topics::{publish, subscribe, topics, unsubscribe};
use log::Level;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::{ptr, slice};

pub(super) fn table(size: c_uint) -> WriteServer {
    let extended = ExtendedServer {
        base: WebSocketServer {
            size,
            version: WEBSOCKET_SERVER_VERSION_1,
            state: ptr::null_mut(),
            request,
            header_get,
            header_set,
            protocol_count,
            protocol_index,
            protocol_set,
            send,
            close,
        },
        send_message,
        request_info,
        request_header,
        reject,
        log,
    };
    let topics = TopicServer {
        table: ServerTable {
            extended,
            try_send_message,
            refuse,
        },
        subscribe,
        unsubscribe,
        publish,
        topics,
    };
    let flow = FlowServer {
        ending: EndingServer {
            topics,
            ending,
            buffered,
        },
        pause,
        on_drain,
    };
    let parts = PartServer {
        variables: VariableServer {
            events: EventServer { flow, post },
            variable,
        },
        on_part,
    };
    WriteServer {
        metrics: MetricServer { parts, metric },
        begin,
        write,
    }
}

/// # Safety
///
/// `server` is a table of a [`Server`] that is valid for `'a`.
unsafe fn server<'a>(server: *const WebSocketServer) -> &'a Server {
    // SAFETY: the table is the first field, and `Server::table` gives a pointer to the whole
    // server.
    unsafe { &*server.cast() }
}

/// Like [`server`], for functions that the C module does not have. A panic in here aborts.
///
/// # Safety
///
/// As for [`server`].
unsafe fn extended<'a>(table: *const WebSocketServer) -> &'a Server {
    // SAFETY: the caller guarantees the table.
    let server = unsafe { server(table) };
    assert!(
        // SAFETY: as above.
        unsafe { (*table).size } > C_SIZE,
        "a plugin calls a function beyond the table's size"
    );
    server
}

/// # Safety
///
/// `text` is a C string, valid for `'a`.
unsafe fn owned(text: *const c_char) -> String {
    // SAFETY: the caller guarantees a C string.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .expect("texts are UTF-8")
        .to_owned()
}

fn pointer(text: Option<&CStr>) -> *const c_char {
    text.map_or(ptr::null(), CStr::as_ptr)
}

unsafe extern "system" fn request(_: *const WebSocketServer) -> *mut RequestRec {
    ptr::null_mut()
}

unsafe extern "system" fn header_get(
    table: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as above; the name is a C string.
    let (server, name) = unsafe { (server(table), CStr::from_ptr(name)) };
    pointer(server.request.find_header(name))
}

unsafe extern "system" fn header_set(
    table: *const WebSocketServer,
    name: *const c_char,
    value: *const c_char,
) {
    // SAFETY: as above; name and value are C strings.
    let (server, header) = unsafe { (server(table), (owned(name), owned(value))) };
    lock(&server.response).headers.push(header);
}

unsafe extern "system" fn protocol_count(table: *const WebSocketServer) -> usize {
    // SAFETY: as above.
    unsafe { server(table) }.request.offered().len()
}

unsafe extern "system" fn protocol_index(
    table: *const WebSocketServer,
    index: usize,
) -> *const c_char {
    // SAFETY: as above.
    let offered = unsafe { server(table) }.request.offered();
    pointer(offered.get(index).map(CString::as_c_str))
}

unsafe extern "system" fn protocol_set(table: *const WebSocketServer, name: *const c_char) {
    // SAFETY: as above; the name is a C string.
    let (server, name) = unsafe { (server(table), owned(name)) };
    lock(&server.response).subprotocol = Some(name);
}

unsafe extern "system" fn send(
    table: *const WebSocketServer,
    kind: c_int,
    data: *const u8,
    length: usize,
) -> usize {
    // SAFETY: as above; the payload is as long as the plugin says.
    let (server, payload) = unsafe { (server(table), slice::from_raw_parts(data, length)) };
    if server.send(Received::from_raw(kind, payload)) {
        length
    } else {
        0
    }
}

unsafe extern "system" fn close(table: *const WebSocketServer) {
    // SAFETY: as above.
    unsafe { server(table) }.hang_up(Ending::told(CLOSED_BY_PLUGIN, 1005, "", true));
}

unsafe extern "system" fn send_message(
    table: *const WebSocketServer,
    kind: c_int,
    data: *const u8,
    length: usize,
) -> c_int {
    // SAFETY: as above; the payload is as long as the plugin says.
    let (server, payload) = unsafe { (extended(table), slice::from_raw_parts(data, length)) };
    if server.send(Received::from_raw(kind, payload)) {
        SEND_ACCEPTED
    } else {
        SEND_CLOSED
    }
}

unsafe extern "system" fn try_send_message(
    table: *const WebSocketServer,
    kind: c_int,
    data: *const u8,
    length: usize,
) -> c_int {
    // SAFETY: as above; the payload is as long as the plugin says.
    let (server, payload) = unsafe { (extended(table), slice::from_raw_parts(data, length)) };
    match server.try_send(Received::from_raw(kind, payload)) {
        Some(true) => SEND_ACCEPTED,
        Some(false) => SEND_CLOSED,
        None => SEND_FULL,
    }
}

unsafe extern "system" fn request_info(
    table: *const WebSocketServer,
    item: c_int,
) -> *const c_char {
    // SAFETY: as above.
    pointer(unsafe { extended(table) }.request.find_info(item))
}

unsafe extern "system" fn variable(
    table: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: as above; the plugin passes a C string.
    unsafe { pointer(extended(table).request.find_variable(CStr::from_ptr(name))) }
}

unsafe extern "system" fn request_header(
    table: *const WebSocketServer,
    index: usize,
    name: *mut *const c_char,
    value: *mut *const c_char,
) -> c_int {
    // SAFETY: as above; the plugin has room for two pointers.
    unsafe {
        let Some(header) = extended(table).request.header_at(index) else {
            return 0;
        };
        (*name, *value) = (header.0.as_ptr(), header.1.as_ptr());
    }
    1
}

unsafe extern "system" fn reject(table: *const WebSocketServer, status: c_int) {
    // SAFETY: as above.
    let server = unsafe { extended(table) };
    let status = u16::try_from(status).expect("a status is positive");
    lock(&server.response).refusal = Refusal::with_status(status);
}

unsafe extern "system" fn refuse(table: *const WebSocketServer, refusal: *const abi::Refusal) {
    // SAFETY: as above; the refusal and its texts are valid during the call.
    let (server, refusal) = unsafe { (extended(table), Refusal::from_abi(refusal)) };
    lock(&server.response).refusal = refusal;
}

unsafe extern "system" fn log(
    table: *const WebSocketServer,
    level: c_int,
    message: *const u8,
    length: usize,
) {
    // SAFETY: as above; the text is UTF-8, as long as the plugin says.
    let (server, text) = unsafe { (extended(table), slice::from_raw_parts(message, length)) };
    let level = match level {
        LOG_ERROR => Level::Error,
        LOG_WARNING => Level::Warn,
        LOG_INFO => Level::Info,
        LOG_DEBUG => Level::Debug,
        _ => Level::Trace,
    };
    let text = str::from_utf8(text)
        .expect("log lines are UTF-8")
        .to_owned();
    lock(&server.log.0).push(LogLine { level, text });
}

unsafe extern "system" fn ending(table: *const WebSocketServer, answer: *mut Ending) -> c_int {
    // SAFETY: as above; a plugin built with this crate passes a whole `Ending`.
    let (server, answer) = unsafe { (server(table), &mut *answer) };
    server.ending().map_or(0, |ending| {
        *answer = ending;
        1
    })
}

/// Clients of tests take everything at once, or nothing.
unsafe extern "system" fn buffered(table: *const WebSocketServer) -> usize {
    // SAFETY: as above.
    unsafe { server(table) }.waiting()
}

unsafe extern "system" fn pause(table: *const WebSocketServer, is_paused: c_int) -> c_int {
    // SAFETY: as above.
    c_int::from(unsafe { server(table) }.set_paused(is_paused != 0))
}

unsafe extern "system" fn on_drain(table: *const WebSocketServer, callback: Option<OnDrain>) {
    // SAFETY: as above.
    unsafe { server(table) }.set_on_drain(callback);
}

unsafe extern "system" fn begin(table: *const WebSocketServer, kind: c_int) -> c_int {
    // SAFETY: as above.
    match unsafe { server(table) }.begin(kind) {
        Some(true) => SEND_ACCEPTED,
        Some(false) => SEND_BUSY,
        None => SEND_CLOSED,
    }
}

unsafe extern "system" fn write(
    table: *const WebSocketServer,
    data: *const u8,
    length: usize,
    how: c_int,
) -> c_int {
    // SAFETY: as above; there are as many bytes as the plugin says.
    let (server, bytes) = unsafe { (server(table), slice::from_raw_parts(data, length)) };
    if server.write(bytes, how == WRITE_END) {
        SEND_ACCEPTED
    } else {
        SEND_CLOSED
    }
}

unsafe extern "system" fn on_part(
    table: *const WebSocketServer,
    callback: Option<OnPart>,
) -> c_int {
    // SAFETY: as above.
    unsafe { server(table) }.set_on_part(callback);
    1
}

unsafe extern "system" fn post(
    table: *const WebSocketServer,
    milliseconds: u64,
    on_event: OnEvent,
    discard: Option<Discard>,
    data: *mut c_void,
) -> c_int {
    let event = Event::new(on_event, discard, data);
    // SAFETY: as above.
    match unsafe { server(table) }.post(event, milliseconds) {
        Ok(()) => POST_ACCEPTED,
        Err((is_closed, event)) => {
            // It stays the plugin's.
            let _ = event.into_data();
            if is_closed { POST_CLOSED } else { POST_FULL }
        }
    }
}
