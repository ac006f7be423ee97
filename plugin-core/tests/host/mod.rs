//! The tables of modules that do nothing. A test replaces the functions that it needs.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint};
use std::ptr;
use websocket_plugin::abi::{
    ExtendedServer, RequestRec, SEND_CLOSED, WEBSOCKET_SERVER_VERSION_1, WebSocketServer,
};

unsafe extern "system" fn request(_: *const WebSocketServer) -> *mut RequestRec {
    ptr::null_mut()
}
unsafe extern "system" fn header_get(_: *const WebSocketServer, _: *const c_char) -> *const c_char {
    ptr::null()
}
unsafe extern "system" fn header_set(
    _: *const WebSocketServer,
    _: *const c_char,
    _: *const c_char,
) {
}
unsafe extern "system" fn protocol_count(_: *const WebSocketServer) -> usize {
    0
}
unsafe extern "system" fn protocol_index(_: *const WebSocketServer, _: usize) -> *const c_char {
    ptr::null()
}
unsafe extern "system" fn protocol_set(_: *const WebSocketServer, _: *const c_char) {}
unsafe extern "system" fn send(
    _: *const WebSocketServer,
    _: c_int,
    _: *const u8,
    _: usize,
) -> usize {
    0
}
unsafe extern "system" fn close(_: *const WebSocketServer) {}
unsafe extern "system" fn send_message(
    _: *const WebSocketServer,
    _: c_int,
    _: *const u8,
    _: usize,
) -> c_int {
    SEND_CLOSED
}
unsafe extern "system" fn request_info(_: *const WebSocketServer, _: c_int) -> *const c_char {
    ptr::null()
}
unsafe extern "system" fn request_header(
    _: *const WebSocketServer,
    _: usize,
    _: *mut *const c_char,
    _: *mut *const c_char,
) -> c_int {
    0
}
unsafe extern "system" fn reject(_: *const WebSocketServer, _: c_int) {}
unsafe extern "system" fn log(_: *const WebSocketServer, _: c_int, _: *const u8, _: usize) {}

/// The table of the C module.
pub(crate) fn table() -> WebSocketServer {
    WebSocketServer {
        size: c_uint::try_from(size_of::<WebSocketServer>()).unwrap(),
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
    }
}

/// The table of a module that knows neither `try_send_message` nor `refuse`. It ends with `log`.
pub(crate) fn older_table() -> ExtendedServer {
    ExtendedServer {
        base: WebSocketServer {
            size: ExtendedServer::SIZE,
            ..table()
        },
        send_message,
        request_info,
        request_header,
        reject,
        log,
    }
}
