//! The fourth experiment: what clients that send a little notice of others that send all they can.

mod greedy;
mod quiet;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use crate::opening::Opener;
use crate::server::Server;
use greedy::Greedy;
use quiet::Quiet;

/// Before measuring begins, the load has run for this part of the time.
const WARM_UP: f64 = 0.3;

/// How often the server's threads are counted.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// What the greedy clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: there is no load.
    Idle,
    /// Send messages of one byte, one behind the other, and read the echoes.
    Messages,
    /// Send pings and read the pongs.
    Pings,
    /// Send pings and read nothing.
    UnreadPings,
    /// Send messages of 16 MB and read the echoes.
    Uploads,
}

/// So many greedy clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// What they do.
    pub kind: Kind,
    /// How many of them there are.
    pub clients: usize,
}

impl FromStr for Load {
    type Err = anyhow::Error;

    /// Reads `messages:20`.
    fn from_str(text: &str) -> Result<Self> {
        let (kind, clients) = text.split_once(':').context("not KIND:CLIENTS")?;
        let kind = match kind {
            "idle" => Kind::Idle,
            "messages" => Kind::Messages,
            "pings" => Kind::Pings,
            "unread-pings" => Kind::UnreadPings,
            "uploads" => Kind::Uploads,
            _ => bail!("no load is called {kind}"),
        };
        let clients = clients.parse()?;
        Ok(Self { kind, clients })
    }
}

/// What one run has shown; prints as `name=value` pairs on one line.
#[derive(Debug)]
pub struct Measurement {
    delay: Histogram<u64>,
    /// The most threads of a process of the server.
    threads: usize,
    /// Bytes the greedy clients have sent, in each second.
    sent: f64,
}

/// Has greedy clients keep the server busy, and measures for `duration` how long the echoes of
/// quiet ones take.
///
/// # Errors
/// A connection cannot be opened or breaks, or an echo is wrong.
pub fn neighbours(
    opener: &mut Opener,
    server: Server,
    load: Load,
    duration: Duration,
) -> Result<Measurement> {
    let mut quiet = Quiet::open(opener)?;
    let greedy = Greedy::open(opener, load)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| greedy.run(&is_over));
        let counting = scope.spawn(|| most_threads(server, &is_over));
        let measured = measure(&mut quiet, duration);
        is_over.store(true, Ordering::Relaxed);
        let ended = |_| anyhow::anyhow!("a thread has panicked");
        let sent = load.join().map_err(ended)?;
        let threads = counting.join().map_err(ended)??;
        Ok(Measurement {
            delay: measured?,
            threads,
            sent: sent?,
        })
    })
}

fn measure(quiet: &mut Quiet, duration: Duration) -> Result<Histogram<u64>> {
    quiet.run(duration.mul_f64(WARM_UP))?;
    quiet.run(duration)
}

fn most_threads(server: Server, is_over: &AtomicBool) -> Result<usize> {
    let mut most = 0;
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        most = most.max(server.processes()?.most_threads());
        next += COUNT_EVERY;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(most)
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = |quantile| self.delay.value_at_quantile(quantile);
        write!(
            f,
            "echoes={} p50_ns={} p99_ns={} p999_ns={} threads={} sent_per_second={:.0}",
            self.delay.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            self.threads,
            self.sent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Load};

    #[test]
    fn loads_are_read() {
        let load = Load {
            kind: Kind::UnreadPings,
            clients: 200,
        };
        assert_eq!("unread-pings:200".parse::<Load>().unwrap(), load);
        for bad in ["", "messages", "messages:", "others:5", "pings:-1"] {
            assert!(bad.parse::<Load>().is_err(), "{bad}");
        }
    }
}
