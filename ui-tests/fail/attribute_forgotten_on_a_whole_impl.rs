use websocket_plugin::{
    BoxError, Close, Handshake, Message, Options, Plugin, Rejection, Sender,
};

struct Echo;

impl Plugin for Echo {
    type Connection = ();
    type Event = u8;

    fn configure(_: &Options) -> Result<Self, impl Into<BoxError>> {
        Ok::<_, BoxError>(Self)
    }

    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

fn main() {}
