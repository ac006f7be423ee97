use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Echo;

struct Member;

#[websocket_plugin(symbol = "1", name = "echo")]
impl Plugin for Echo {
    type Connection = Member;

    async fn on_message(
        &self,
        _: &mut Member,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

fn main() {}
