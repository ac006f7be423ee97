use websocket_plugin::websocket_plugin;

struct Echo;

#[websocket_plugin]
impl Default for Echo {
    fn default() -> Self {
        Self
    }
}

fn main() {}
