//! Sends in the callback that got the message.

use websocket_plugin::{
    Close, Disconnect, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

use crate::members::Members;

#[derive(Default)]
struct Fanout(Members);

#[websocket_plugin]
impl Plugin for Fanout {
    /// The number of the connection.
    type Connection = u64;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<u64, Rejection> {
        Ok(self.0.add(handshake.sender()))
    }

    fn on_message(&self, _: &mut u64, _: &Sender, message: Message<'_>) -> Result<(), Close> {
        self.0.tell(message);
        Ok(())
    }

    fn on_disconnect(&self, id: u64, _: Disconnect) {
        self.0.remove(id);
    }
}
