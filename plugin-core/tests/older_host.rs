//! A plugin under a module whose table ends with `log`. That module gets only the status of a
//! refusal, without headers and body.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use websocket_plugin::abi::{
    ExtendedServer, RequestRec, SEND_CLOSED, WEBSOCKET_SERVER_VERSION_1, WebSocketPlugin,
    WebSocketServer,
};
use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

unsafe extern "system" {
    /// The init function that the attribute exports.
    safe fn strict_init() -> *mut WebSocketPlugin;
}

#[derive(Default)]
struct Strict;

#[websocket_plugin]
impl Plugin for Strict {
    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<(), Rejection> {
        Err(Rejection::new(418)
            .with_header("X-Why", "because")?
            .with_body("no"))
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

static STATUS: AtomicI32 = AtomicI32::new(0);

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
unsafe extern "system" fn reject(_: *const WebSocketServer, status: c_int) {
    STATUS.store(status, Relaxed);
}
unsafe extern "system" fn log(_: *const WebSocketServer, _: c_int, _: *const u8, _: usize) {}

#[test]
fn an_older_module_gets_only_the_status() {
    // In an allocation of its own, so that Miri and sanitizers detect a read beyond its end.
    let table = Box::new(ExtendedServer {
        base: WebSocketServer {
            size: ExtendedServer::SIZE,
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
    });
    let plugin = strict_init();
    // SAFETY: init returned the table of a Rust plugin, which has all callbacks. The server table
    // outlives them.
    unsafe {
        let on_connect = (*plugin).on_connect.expect("it has one");
        assert!(on_connect(&raw const table.base).is_null());
        (*plugin).destroy.expect("it has one")(plugin);
    }
    assert_eq!(STATUS.load(Relaxed), 418);
}
