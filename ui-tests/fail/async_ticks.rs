use websocket_plugin::{AsyncPlugin, Close, Message, Sender, Ticks, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl AsyncPlugin for Echo {
    async fn ticks(&self) -> Option<Ticks> {
        std::future::ready(()).await;
        Some(Ticks::in_every_process(std::time::Duration::from_secs(1)))
    }

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
