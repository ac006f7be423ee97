use websocket_plugin::websocket_plugin;

#[websocket_plugin]
struct Echo<T>(T);

fn main() {
    let _ = Echo(1);
}
