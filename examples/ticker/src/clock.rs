//! The thread, and the topic to which it publishes.

use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, process};
use websocket_plugin::Topics;

/// A running clock. It stops when it is dropped.
pub(crate) struct Clock {
    topic: String,
    /// Dropped to stop the thread.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// A clock that ticks each `interval` milliseconds.
    pub(crate) fn start(interval: u64, topics: Topics) -> io::Result<Self> {
        // Processes that were forked may have the same random numbers.
        let random = RandomState::new().hash_one(process::id());
        let topic = format!("ticker/{random:016x}");
        let (running, stop) = mpsc::channel();
        let name = topic.clone();
        let thread = thread::Builder::new().spawn(move || run(interval, topics, &name, &stop))?;
        Ok(Self {
            topic,
            running: Some(running),
            thread: Some(thread),
        })
    }

    /// The topic of the ticks. No other clock has it.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic hook has already written that to stderr.
            let _ = thread.join();
        }
    }
}

/// Ticks at multiples of the interval, and so together with all other clocks.
fn run(interval: u64, topics: Topics, topic: &str, stop: &Receiver<()>) {
    log::debug!("the clock starts");
    let mut last = 0;
    loop {
        let now = milliseconds_since_1970();
        let mut next = (now / interval + 1).saturating_mul(interval);
        // The last wait may have ended a little early by the system's time.
        if next == last {
            next = next.saturating_add(interval);
        }
        let wait = Duration::from_millis(next - now);
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        last = next;
        let seconds = Duration::from_millis(next).as_secs_f64();
        // If topics fail, httpd's log says why. They may work again at the next tick.
        let _ = topics.publish(topic, format!("{seconds:.3}"));
    }
}

fn milliseconds_since_1970() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis().try_into().unwrap_or(u64::MAX))
}
