use websocket_plugin::{AsyncPlugin, BoxError, Close, Message, Options, Sender, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl AsyncPlugin for Echo {
    async fn configure(_: &Options) -> Result<Self, BoxError> {
        std::future::ready(()).await;
        Ok(Self)
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
