//! Async plugins under the test host.
#![cfg(feature = "tokio")]
#![forbid(unsafe_code)]

mod ends;
mod faults;
mod leftovers;
mod mailbox;
mod order;
mod sending;
mod talk;
mod ticks;

use std::thread;
use std::time::{Duration, Instant};
use websocket_plugin::testing::Received;

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

/// Waits for something that another thread does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
