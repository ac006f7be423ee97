#![forbid(unsafe_code)]

use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Clock;

enum Event {
    Tick,
}

#[websocket_plugin]
impl Plugin for Clock {
    type Event = Event;

    fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(to.post::<Self>("tick")?)
    }

    fn on_event(&self, _: &mut (), _: &Sender, _: Event) -> Result<(), Close> {
        Ok(())
    }
}

fn main() {}
