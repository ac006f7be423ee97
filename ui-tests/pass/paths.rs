#![forbid(unsafe_code)]
#![deny(warnings)]

mod plugins {
    #[derive(Default)]
    pub struct Echo;

    pub struct Of<T>(T);

    impl Default for Of<u8> {
        fn default() -> Self {
            Self(0)
        }
    }

    impl Of<u8> {
        pub fn value(&self) -> u8 {
            self.0
        }
    }
}

#[websocket_plugin::websocket_plugin]
impl websocket_plugin::Plugin for plugins::Echo {
    fn on_message(
        &self,
        _: &mut (),
        sender: &websocket_plugin::Sender,
        message: websocket_plugin::Message<'_>,
    ) -> Result<(), websocket_plugin::Close> {
        Ok(sender.send(message)?)
    }
}

#[websocket_plugin::websocket_plugin]
impl websocket_plugin::Plugin for plugins::Of<u8> {
    fn on_message(
        &self,
        _: &mut (),
        sender: &websocket_plugin::Sender,
        _: websocket_plugin::Message<'_>,
    ) -> Result<(), websocket_plugin::Close> {
        Ok(sender.send(&[self.value()])?)
    }
}

fn main() {}
