//! The latency of echoes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Client;

/// The number of echoes in a measurement.
const ECHOES: usize = 400;

/// The limit for 99 of 100 echoes. A client that has to wait for a callback or for another client
/// waits for seconds.
const LIMIT: Duration = Duration::from_millis(50);

/// The number of attempts, because other tests may keep the machine busy.
const TRIES: usize = 8;

/// Checks that 99 of 100 echoes take less than 50 ms, with `clients` in rotation. The answer to
/// `text` is `answer`.
pub(crate) fn ensure_low(clients: &mut [Client], text: &str, answer: &str) -> Result<()> {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let time = p99(clients, text, answer)?;
        if time < LIMIT {
            return Ok(());
        }
        seen.push(time);
    }
    bail!("99 of 100 echoes took up to {seen:?}")
}

fn p99(clients: &mut [Client], text: &str, answer: &str) -> Result<Duration> {
    let mut times = Vec::with_capacity(ECHOES);
    for number in 0..ECHOES {
        let turn = number % clients.len();
        let client = &mut clients[turn];
        let started = Instant::now();
        client.text(text)?;
        client.expect_text(answer)?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[ECHOES * 99 / 100])
}
