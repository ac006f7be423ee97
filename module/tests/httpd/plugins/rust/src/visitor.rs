//! Says who its clients are.

use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

/// Answers each message with the client's port and what its sender knows.
#[derive(Default)]
struct Visitor;

#[websocket_plugin]
impl Plugin for Visitor {
    type Connection = Option<u16>;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Option<u16>, Rejection> {
        Ok(handshake.client_port())
    }

    fn on_message(&self, port: &mut Option<u16>, to: &Sender, _: Message<'_>) -> Result<(), Close> {
        let (id, address, user, path) = (to.id(), to.client_address(), to.user(), to.path_info());
        to.send(format!("{id} {port:?} {address:?} {user:?} {path:?}"))?;
        Ok(())
    }
}
