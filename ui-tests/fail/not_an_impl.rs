use websocket_plugin::websocket_plugin;

#[websocket_plugin]
fn echo() {}

fn main() {
    echo();
}
