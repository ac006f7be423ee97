use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Echo<T>(T);

#[websocket_plugin]
impl<T: Default + Send + Sync + 'static> Plugin for Echo<T> {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

fn main() {}
