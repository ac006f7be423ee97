use websocket_plugin::{
    Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

#[derive(Default)]
struct Echo;

struct Member;

#[websocket_plugin]
impl Plugin for Echo {
    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<Member, Rejection> {
        Ok(Member)
    }

    fn on_message(
        &self,
        _: &mut Member,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

fn main() {}
