//! Metrics of a plugin before `mod_websocket` has loaded it. No other test may load a plugin in the
//! same process.

use websocket_plugin::testing::Host;
use websocket_plugin::{Close, Counter, Message, Plugin, Sender, websocket_plugin};

#[test]
fn without_a_host_nothing_counts_until_there_is_one() {
    static LONELY: Counter = Counter::new("lonely", "Counted by nobody").of::<Loner>();
    LONELY.inc();
    let c_module = Host::c_module::<Loner>().unwrap();
    LONELY.inc();
    drop(c_module);
    let _host = Host::load::<Loner>();
    LONELY.inc();
    assert_eq!(LONELY.value(), 1);
}

#[derive(Default)]
struct Loner;

#[websocket_plugin]
impl Plugin for Loner {
    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}
