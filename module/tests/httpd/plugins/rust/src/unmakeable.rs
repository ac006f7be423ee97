//! Panics when its library is loaded.

use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

struct Unmakeable;

impl Default for Unmakeable {
    fn default() -> Self {
        panic!("cannot be made")
    }
}

#[websocket_plugin]
impl Plugin for Unmakeable {
    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}
