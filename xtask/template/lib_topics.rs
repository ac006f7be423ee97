//! A WebSocket plugin for Apache httpd. `README.md` describes how to build and use it.
//!
//! Whoever connects to `/{{name}}/red` is in the room `red`, and hears what is said there, in
//! whatever process of httpd the others are.
#![forbid(unsafe_code)]

use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

/// The plugin. All its connections share it.
#[derive(Default)]
struct {{type}};

#[websocket_plugin(symbol = "{{symbol}}")]
impl Plugin for {{type}} {
    /// The topic of the client's room.
    type Connection = String;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<String, Rejection> {
        let room = handshake.path_info().unwrap_or_default();
        if room.contains('*') {
            return Err(Rejection::NOT_FOUND); // a star would be all rooms
        }
        let topic = format!("{{name}}{room}");
        handshake.subscribe(&topic)?;
        // This goes to httpd's error log. What `println!` prints goes nowhere.
        log::info!("a client has come to {topic}");
        Ok(topic)
    }

    fn on_message(
        &self,
        topic: &mut String,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        sender.publish(topic, message)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{{type}};
    use websocket_plugin::testing::{Host, Received, Request};

    #[test]
    fn a_room_hears_what_is_said_in_it() {
        let host = Host::load::<{{type}}>();
        let other_process = host.another_process::<{{type}}>(&[]).unwrap();
        let enter = |room| Request::new().path_info(room);
        let mut ann = host.connect(enter("/red")).unwrap();
        let bob = other_process.connect(enter("/red")).unwrap();
        let carol = host.connect(enter("/blue")).unwrap();
        ann.send("hello");
        assert_eq!(ann.received(), [Received::Text("hello".into())]);
        assert_eq!(bob.received(), [Received::Text("hello".into())]);
        assert_eq!(carol.received(), []);
    }
}
