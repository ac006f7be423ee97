//! Sends every message back: text as text, binary as binary.
//!
//! ```apache
//! <Location "/echo">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_echo.so echo_init
//! </Location>
//! ```
#![forbid(unsafe_code)]

use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

/// The plugin. It has no state.
#[derive(Default)]
pub struct Echo;

#[websocket_plugin]
impl Plugin for Echo {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Echo;
    use websocket_plugin::testing::{Host, Received, Request};

    #[test]
    fn messages_come_back_unchanged() {
        for host in [Host::load::<Echo>(), Host::c_module::<Echo>().unwrap()] {
            let mut client = host.connect(Request::new()).unwrap();
            client.send("hello");
            client.send(b"\xff");
            client.send("");
            let expected = [
                Received::Text("hello".into()),
                Received::Binary(vec![0xff]),
                Received::Text(String::new()),
            ];
            assert_eq!(client.received(), expected);
        }
    }
}
