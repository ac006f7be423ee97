use websocket_plugin::{Plugin, websocket_plugin};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl Plugin for Echo {}

fn main() {}
