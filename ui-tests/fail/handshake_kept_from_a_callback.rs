use std::sync::Mutex;
use websocket_plugin::{
    Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

#[derive(Default)]
struct Keeper {
    users: Mutex<Vec<&'static str>>,
}

#[websocket_plugin]
impl Plugin for Keeper {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        self.users.lock().unwrap().extend(handshake.user());
        Ok(())
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

fn main() {}
