use websocket_plugin::{AsyncPlugin, Close, Message, Sender, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl AsyncPlugin for Echo {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

fn main() {}
