use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl Plugin for Echo {
    fn on_message(&self, _: &mut (), sender: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(sender.close(1000)?)
    }
}

fn main() {}
