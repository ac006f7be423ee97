//! Another async plugin, which never lets go of its clients.

use std::future::pending;

use websocket_plugin::{AsyncPlugin, Close, Disconnect, Message, Sender, websocket_plugin};

/// An echo whose `on_disconnect` waits for ever.
#[derive(Default)]
struct Clinger;

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Clinger {
    async fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(to.send_async(message).await?)
    }

    async fn on_disconnect(&self, (): (), _: Disconnect) {
        pending::<()>().await;
    }
}
