//! Sending and receiving values as JSON.
#![forbid(unsafe_code)]
#![cfg(feature = "json")]

use std::collections::HashMap;
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Message, Plugin, SendJsonError, Sender, websocket_plugin,
};

#[derive(Default)]
struct Sum;

#[websocket_plugin]
impl Plugin for Sum {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        let numbers: Vec<i64> = message.json()?;
        sender.send_json(&numbers.iter().sum::<i64>())?;
        // JSON objects cannot have tuples as keys.
        let unwritable = HashMap::from([((1, 2), 3)]);
        assert!(matches!(
            sender.send_json(&unwritable),
            Err(SendJsonError::Json(_))
        ));
        Ok(())
    }
}

#[test]
fn text_and_binary_messages_are_read_and_text_is_sent() {
    let host = Host::load::<Sum>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("[1, 2, 3]");
    client.send(b"[]");
    let expected = ["6", "0"].map(|sum| Received::Text(sum.into()));
    assert_eq!(client.received(), expected);
    client.send("nonsense");
    let close = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
    assert_eq!(client.received(), [close]);
    assert!(
        host.log()[0].text.starts_with("[Sum] on_message: expected"),
        "{:?}",
        host.log()
    );
}
