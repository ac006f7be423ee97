//! Sends every message back from an async callback that does not wait.

use websocket_plugin::{AsyncPlugin, Close, Message, Sender, websocket_plugin};

#[derive(Default)]
struct AsyncEcho;

#[websocket_plugin]
impl AsyncPlugin for AsyncEcho {
    async fn on_message(
        &self,
        (): &mut (),
        to: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        Ok(to.send_async(message).await?)
    }
}
