#![forbid(unsafe_code)]

use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

// The generated code must not refer to these types.
#[allow(dead_code)]
enum Result {}
#[allow(dead_code)]
enum Ok {}
#[allow(dead_code)]
trait Default {}
#[allow(dead_code)]
struct Handshake;

#[derive(std::default::Default)]
struct Quiet;

#[websocket_plugin]
impl Plugin for Quiet {
    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> std::result::Result<(), Close> {
        std::result::Result::Ok(())
    }
}

fn main() {}
