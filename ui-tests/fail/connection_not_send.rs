use std::rc::Rc;
use websocket_plugin::{
    Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl Plugin for Echo {
    type Connection = Rc<()>;

    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<Rc<()>, Rejection> {
        Ok(Rc::new(()))
    }

    fn on_message(
        &self,
        _: &mut Rc<()>,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

fn main() {}
