//! What an echo costs in an `AsyncPlugin` and in a `Plugin`, beside the host, which is that of
//! tests: `cargo bench -p websocket-plugin --features tokio`.
//!
//! The two are measured in turn, in time of the processor, with all threads of the process.

use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;
use websocket_plugin::testing::{Client, Host, Request};
use websocket_plugin::{AsyncPlugin, Close, Message, Plugin, Sender, websocket_plugin};

/// The rounds, and the messages of each.
const ROUNDS: usize = 40;
const MESSAGES: u32 = 50_000;

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl Plugin for Echo {
    fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        Ok(to.send(m)?)
    }
}

#[derive(Default)]
struct AsyncEcho;

#[websocket_plugin]
impl AsyncPlugin for AsyncEcho {
    async fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        Ok(to.send_async(m).await?)
    }
}

fn main() {
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, messages) = if is_test {
        (1, 100)
    } else {
        (ROUNDS, MESSAGES)
    };
    let (host, async_host) = (Host::load::<Echo>(), Host::load::<AsyncEcho>());
    let mut client = host.connect(Request::new()).expect("it accepts");
    let mut async_client = async_host.connect(Request::new()).expect("it accepts");
    // The runtime takes up the connection.
    echo(&mut async_client, 10);
    let mut differences = Vec::new();
    for _ in 0..rounds {
        let of_plugin = echo(&mut client, messages);
        let of_async = echo(&mut async_client, messages);
        differences.push((of_async - of_plugin, of_plugin, of_async));
    }
    differences.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (difference, of_plugin, of_async) = differences[rounds / 2];
    println!(
        "an echo of 32 bytes takes {of_plugin:.0} ns in a Plugin and {of_async:.0} ns in an \
         AsyncPlugin, {difference:.0} ns more (median of {rounds} rounds)"
    );
}

/// The nanoseconds that an echo takes.
fn echo(client: &mut Client<'_>, messages: u32) -> f64 {
    let before = used();
    for _ in 0..messages {
        client.send(black_box("a text that has thirty-two bytes"));
        black_box(client.receive());
    }
    (used() - before).as_secs_f64() * 1e9 / f64::from(messages)
}

/// The time of the processor that this process has used.
fn used() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).expect("it is positive")
}
