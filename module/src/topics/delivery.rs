//! How far a child has delivered what is in the log.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::lock::lock;
use super::relay::Relay;

/// How far messages were delivered, and who does it.
pub(super) struct Delivery {
    /// The number of the last message that was. Locked while messages are delivered.
    delivered: Mutex<u64>,
    /// Those who want to subscribe, and the place where they wait: whoever delivers lets them go
    /// first.
    waiting: AtomicU32,
    turnstile: Mutex<()>,
    pub(super) relay: Relay,
}

impl Delivery {
    /// What was published up to the message with this number concerns nobody.
    pub(super) fn new(newest: u64) -> Self {
        Self {
            delivered: Mutex::new(newest),
            waiting: AtomicU32::new(0),
            turnstile: Mutex::new(()),
            relay: Relay::new(),
        }
    }

    /// For who delivers.
    pub(super) fn begin(&self) -> MutexGuard<'_, u64> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            drop(lock(&self.turnstile));
        }
        lock(&self.delivered)
    }

    /// Keeps messages from being delivered meanwhile.
    pub(super) fn pause(&self) -> MutexGuard<'_, u64> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = lock(&self.turnstile);
        let delivered = lock(&self.delivered);
        drop(turn);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        delivered
    }
}
