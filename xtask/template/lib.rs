//! A WebSocket plugin for Apache httpd. `README.md` describes how to build and use it.
#![forbid(unsafe_code)]

use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

/// The plugin. All its connections share it.
#[derive(Default)]
struct {{type}};

#[websocket_plugin(symbol = "{{symbol}}")]
impl Plugin for {{type}} {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        // This goes to httpd's error log. What `println!` prints goes nowhere.
        log::info!("a client has come from {:?}", handshake.client_address());
        Ok(())
    }

    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{{type}};
    use websocket_plugin::testing::{Host, Received, Request};

    #[test]
    fn messages_come_back() {
        let host = Host::load::<{{type}}>();
        let mut client = host.connect(Request::new()).unwrap();
        client.send("hello");
        assert_eq!(client.received(), [Received::Text("hello".into())]);
    }
}
