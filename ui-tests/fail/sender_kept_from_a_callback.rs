use std::sync::Mutex;
use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Keeper {
    senders: Mutex<Vec<&'static Sender>>,
}

#[websocket_plugin]
impl Plugin for Keeper {
    fn on_message(&self, _: &mut (), sender: &Sender, _: Message<'_>) -> Result<(), Close> {
        self.senders.lock().unwrap().push(sender);
        Ok(())
    }
}

fn main() {}
