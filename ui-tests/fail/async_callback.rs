use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl Plugin for Echo {
    async fn on_message(
        &self,
        _: &mut (),
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        std::future::ready(()).await;
        Ok(sender.send(message)?)
    }
}

fn main() {}
