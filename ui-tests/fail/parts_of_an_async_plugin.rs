#![forbid(unsafe_code)]

use websocket_plugin::{AsyncPlugin, websocket_plugin};

#[derive(Default)]
struct Upload;

#[websocket_plugin]
impl AsyncPlugin for Upload {
    async fn on_part(
        &self,
        _: &mut (),
        _: &websocket_plugin::Sender,
        _: websocket_plugin::Part<'_>,
    ) -> Result<(), websocket_plugin::Close> {
        Ok(())
    }
}

fn main() {}
