use websocket_plugin::websocket_plugin;

#[websocket_plugin]
struct Echo;

fn main() {
    let _ = Echo;
}
