use std::rc::Rc;
use websocket_plugin::{AsyncPlugin, Close, Message, Sender, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl AsyncPlugin for Echo {
    async fn on_message(
        &self,
        _: &mut (),
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let count = Rc::new(1);
        sender.send_async(message).await?;
        drop(count);
        Ok(())
    }
}

fn main() {}
