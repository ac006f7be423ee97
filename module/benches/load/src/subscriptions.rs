//! What subscriptions to topics take of memory.

use std::fmt::{self, Display, Formatter};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::frames::{close_frame, masked};
use crate::opening::Opener;
use crate::server::Server;
use crate::transport::Transport;

/// A server answers within this time or is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to sleep before looking for an answer again.
const PAUSE: Duration = Duration::from_micros(50);

/// The length of the header of an answer.
const HEADER: usize = 2;

/// What was measured; prints as `name=value` pairs on one line.
#[derive(Debug)]
pub struct Measurement {
    subscriptions: u64,
    /// Bytes that all of them take.
    memory: u64,
}

/// Opens `count` connections and sends a message over each, at which the server subscribes it to
/// topics, and answers how many. What the buffers for that message take counts, too.
///
/// # Errors
/// A connection cannot be opened or breaks, or an answer is wrong or missing.
pub fn subscriptions(opener: &mut Opener, server: Server, count: usize) -> Result<Measurement> {
    let opened = (0..count).map(|_| opener.open());
    let mut connections = opened.collect::<Result<Vec<_>>>()?;
    // What the process needs for its first topics is there then.
    let mut first = opener.open()?;
    ask(&mut first)?;
    let server = server.processes()?;
    let before = server.proportional_set_size()?;
    let mut subscriptions = 0;
    for connection in &mut connections {
        subscriptions += ask(connection)?;
    }
    let after = server.proportional_set_size()?;
    for connection in connections.iter_mut().chain([&mut first]) {
        connection.write(&close_frame())?;
    }
    Ok(Measurement {
        subscriptions,
        memory: after.saturating_sub(before),
    })
}

/// Has the server subscribe a connection. Returns to how many topics.
fn ask(connection: &mut Transport) -> Result<u64> {
    let request = masked(b"subscribe", false);
    ensure!(connection.write(&request)? == request.len(), "no room");
    let mut buffer = [0; 64];
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(length) = connection.read(&mut buffer)? {
            let answer = buffer[..length].get(HEADER..).context("half an answer")?;
            let number = str::from_utf8(answer)?;
            return number.parse().with_context(|| number.to_owned());
        }
        ensure!(Instant::now() < deadline, "no answer");
        thread::sleep(PAUSE);
    }
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "subscriptions={} memory_bytes={}",
            self.subscriptions, self.memory
        )
    }
}
