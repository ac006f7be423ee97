//! A plugin under a module whose table ends with `log`. That module gets only the status of a
//! refusal, without headers and body.
#![allow(unsafe_code)]

mod host;

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use websocket_plugin::abi::{ExtendedServer, WebSocketPlugin, WebSocketServer};
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

unsafe extern "system" fn reject(_: *const WebSocketServer, status: c_int) {
    STATUS.store(status, Relaxed);
}
#[test]
fn an_older_module_gets_only_the_status() {
    // In an allocation of its own, so that Miri and sanitizers detect a read beyond its end.
    let table = Box::new(ExtendedServer {
        reject,
        ..host::older_table()
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
