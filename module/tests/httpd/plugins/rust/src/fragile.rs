//! Panics or fails when it is asked to; otherwise an echo.

use std::io;
use std::thread;
use websocket_plugin::{
    Close, Disconnect, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender,
    websocket_plugin,
};

struct Fragile {
    panics_in_drop: bool,
}

/// Where a connection must panic when it ends.
#[derive(Default)]
struct Connection {
    in_on_disconnect: bool,
    in_drop: bool,
}

#[websocket_plugin]
impl Plugin for Fragile {
    type Connection = Connection;

    fn configure(options: &Options) -> Result<Self, OptionError> {
        let place = options.get("panic");
        assert!(place != Some("configure"), "asked to in configure");
        Ok(Self {
            panics_in_drop: place == Some("drop"),
        })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Connection, Rejection> {
        match handshake.query() {
            Some("panic") => panic!("asked to in on_connect"),
            Some("error") => Err(io::Error::other("no database"))?,
            _ => Ok(Connection::default()),
        }
    }

    fn on_message(&self, state: &mut Connection, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        match m.as_text() {
            Some("panic") => panic!("asked to in on_message"),
            Some("error") => Err(io::Error::other("disk full"))?,
            Some("panic in a thread") => {
                let thread = thread::spawn(|| panic!("asked to in a thread"));
                return Ok(to.send(if thread.join().is_err() {
                    "panicked"
                } else {
                    "?"
                })?);
            }
            Some("panic in on_disconnect") => state.in_on_disconnect = true,
            Some("panic in drop") => state.in_drop = true,
            _ => {}
        }
        Ok(to.send(m)?)
    }

    fn on_disconnect(&self, connection: Connection, _: Disconnect) {
        assert!(!connection.in_on_disconnect, "asked to in on_disconnect");
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        assert!(!self.in_drop, "asked to in drop of a connection");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.panics_in_drop, "asked to in drop of the plugin");
    }
}
