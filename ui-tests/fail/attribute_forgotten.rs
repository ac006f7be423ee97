use websocket_plugin::{Close, Message, Plugin, Sender};

#[derive(Default)]
struct Echo;

impl Plugin for Echo {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

fn main() {}
