use websocket_plugin::testing::Host;

struct Echo;

fn main() {
    let _ = Host::load::<Echo>();
}
