use websocket_plugin::{AsyncPlugin, Close, Message, OptionError, Options, Sender};

struct Echo;

impl AsyncPlugin for Echo {
    type Connection = ();

    fn configure(_: &Options) -> Result<Self, OptionError> {
        Ok(Self)
    }

    async fn on_connect(
        &self,
        _: &mut websocket_plugin::Handshake<'_>,
    ) -> Result<(), websocket_plugin::Rejection> {
        Ok(())
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
