//! A WebSocket plugin for Apache httpd. `README.md` describes how to build and use it.
//!
//! A client sends `{"add": [1, 2]}` and gets `{"sum":3}`.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

/// The plugin. All its connections share it.
#[derive(Default)]
struct {{type}};

/// What a client sends.
#[derive(Deserialize)]
struct Question {
    add: Vec<f64>,
}

/// What it gets.
#[derive(Serialize)]
struct Answer {
    sum: f64,
}

#[websocket_plugin(symbol = "{{symbol}}")]
impl Plugin for {{type}} {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        // This goes to httpd's error log. What `println!` prints goes nowhere.
        log::info!("a client has come from {:?}", handshake.client_address());
        Ok(())
    }

    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        // A client that sends anything else is disconnected with 1007, and is told why.
        let question: Question = message.json()?;
        let sum = question.add.iter().sum();
        Ok(sender.send_json(&Answer { sum })?)
    }
}

#[cfg(test)]
mod tests {
    use super::{{type}};
    use websocket_plugin::CloseCode;
    use websocket_plugin::testing::{Host, Received, Request};

    #[test]
    fn numbers_are_added() {
        let host = Host::load::<{{type}}>();
        let mut client = host.connect(Request::new()).unwrap();
        client.send(r#"{"add": [1, 2]}"#);
        assert_eq!(client.received(), [Received::Text(r#"{"sum":3.0}"#.into())]);
    }

    #[test]
    fn anything_else_closes_the_connection() {
        let host = Host::load::<{{type}}>();
        let mut client = host.connect(Request::new()).unwrap();
        client.send("hello");
        let Some(Received::Close(code, _)) = client.received().pop() else {
            panic!("the connection is open");
        };
        assert_eq!(code, CloseCode::INVALID_PAYLOAD);
    }
}
