//! Sends a number.

use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Counter;

#[websocket_plugin]
impl Plugin for Counter {
    fn on_message(&self, _: &mut (), sender: &Sender, _: Message<'_>) -> Result<(), Close> {
        sender.send(String::from("a text of its own"))?;
        Ok(sender.send(42)?)
    }
}

fn main() {}
