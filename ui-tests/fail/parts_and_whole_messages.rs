#![forbid(unsafe_code)]

use websocket_plugin::{Close, Message, Part, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Both;

#[websocket_plugin]
impl Plugin for Both {
    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn on_part(&self, _: &mut (), _: &Sender, _: Part<'_>) -> Result<(), Close> {
        Ok(())
    }
}

fn main() {}
