use websocket_plugin::{AsyncPlugin, Close, Message, Sender, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin(workers = 0)]
impl AsyncPlugin for Echo {
    async fn on_message(
        &self,
        _: &mut (),
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        Ok(sender.send_async(message).await?)
    }
}

fn main() {}
