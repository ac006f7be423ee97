//! How long echoes take.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Client;

/// So many echoes make a figure.
const ECHOES: usize = 400;

/// What 99 of 100 echoes may take at most. Who waits for a callback or for a client waits for seconds.
const LIMIT: Duration = Duration::from_millis(50);

/// How often to try: the machine may be busy with other tests.
const TRIES: usize = 8;

/// Ensures that 99 of 100 echoes take less than 50 ms, `clients` taking turns; `text` brings about the
/// answer `answer`.
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
