//! How long echoes take.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Client;

/// So many echoes make a figure.
const ECHOES: usize = 400;

/// What the machine may add when other tests run meanwhile. Who waits for a callback or for a client
/// waits for seconds.
const NOISE: Duration = Duration::from_millis(150);

/// The time 99 of 100 echoes take at most, `clients` taking turns; `text` brings about the answer
/// `answer`.
pub(crate) fn p99(clients: &mut [Client], text: &str, answer: &str) -> Result<Duration> {
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

/// Ensures that what takes `now` takes no longer than it did `before`, apart from noise.
pub(crate) fn ensure_unaffected(before: Duration, now: Duration) -> Result<()> {
    ensure!(
        now < NOISE + 4 * before,
        "99 of 100 echoes took up to {before:?} and take up to {now:?}"
    );
    Ok(())
}
