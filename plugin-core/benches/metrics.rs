//! What it costs to count: `cargo bench -p websocket-plugin --bench metrics`.
//!
//! The numbers lie where the host of tests has them. Those in httpd lie in shared memory, which
//! makes no difference to the processor. Only [`Counter::with`] asks the host each time: that of
//! tests is slower than httpd's.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use websocket_plugin::testing::Host;
use websocket_plugin::{Close, Counter, Histogram, Message, Plugin, Sender, websocket_plugin};

static MOVES: Counter = Counter::new("moves", "Moves that were made");
static TIMES: Histogram = Histogram::new("time_seconds", "How long they took", Histogram::SECONDS);

#[derive(Default)]
struct Game;

#[websocket_plugin]
impl Plugin for Game {
    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

fn main() {
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_test { 100 } else { 10_000_000 };
    let _host = Host::load::<Game>();
    let series = MOVES.with(&[("room", "lobby")]);
    measure("Counter::inc", rounds, || MOVES.inc());
    measure("CounterSeries::inc", rounds, || series.inc());
    measure("Histogram::observe", rounds, || TIMES.observe(0.0042));
    measure("Counter::with", rounds / 100, || {
        MOVES.with(&[("room", "lobby")]).inc();
    });
}

fn measure(name: &str, rounds: u32, body: impl Fn()) {
    let before = now();
    (0..rounds).for_each(|_| body());
    let took = (now() - before).as_secs_f64() / f64::from(rounds.max(1));
    println!("{name} takes {:.1} ns", took * 1e9);
}

/// The time that this process has used.
fn now() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        now.tv_nsec.try_into().unwrap_or(0),
    )
}
