use std::cell::RefCell;
use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Counter {
    count: RefCell<u64>,
}

#[websocket_plugin]
impl Plugin for Counter {
    fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
        *self.count.borrow_mut() += 1;
        Ok(to.send("counted")?)
    }
}

fn main() {}
