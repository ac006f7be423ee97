#![forbid(unsafe_code)]
#![deny(warnings)]

use websocket_plugin::websocket_plugin;

#[websocket_plugin(symbol = "one_init")]
struct One;

mod elsewhere {
    use websocket_plugin::{
        BoxError, Close, Handshake, Message, Options, Plugin, Rejection, Sender,
    };

    impl Plugin for super::One {
        type Connection = u64;
        type Event = u8;

        fn configure(_: &Options) -> Result<Self, impl Into<BoxError>> {
            Ok::<_, BoxError>(Self)
        }

        fn on_connect(&self, _: &mut Handshake<'_>) -> Result<u64, Rejection> {
            Ok(0)
        }

        fn on_message(&self, n: &mut u64, to: &Sender, _: Message<'_>) -> Result<(), Close> {
            *n += 1;
            Ok(to.post::<Self>(7)?)
        }

        fn on_event(&self, n: &mut u64, to: &Sender, event: u8) -> Result<(), Close> {
            Ok(to.send(&format!("{n} {event}"))?)
        }
    }
}

fn main() {}
