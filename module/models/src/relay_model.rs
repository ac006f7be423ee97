//! Threads that publish, and one of which delivers: `topics/relay.rs`.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::relay::Relay;
use crate::sync::{AtomicUsize, Ordering};

/// What is published and delivered.
struct Topic {
    relay: Relay,
    published: AtomicUsize,
    delivered: AtomicUsize,
    /// Used by whoever delivers: loom fails if two threads do at once.
    turn: UnsafeCell<()>,
}

impl Topic {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            relay: Relay::new(),
            published: AtomicUsize::new(0),
            delivered: AtomicUsize::new(0),
            turn: UnsafeCell::new(()),
        })
    }

    /// Delivers a message. Returns whether there was one.
    fn deliver(&self) -> bool {
        self.turn.with_mut(|_| {
            // The relay has to make visible what others have published and delivered.
            let delivered = self.delivered.load(Ordering::Relaxed);
            let has_more = delivered < self.published.load(Ordering::Relaxed);
            let after = delivered + usize::from(has_more);
            self.delivered.store(after, Ordering::Relaxed);
            has_more
        })
    }

    /// Returns whether the rest was left.
    fn publish(&self, most: u32) -> bool {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.relay.ask(most, || self.deliver())
    }

    fn expect_delivered(&self, count: usize) {
        assert_eq!(self.delivered.load(Ordering::Relaxed), count);
    }
}

/// Whoever finds another thread delivering may go: that one delivers its message, too.
pub fn what_is_published_is_delivered_by_whoever_delivers() {
    let topic = Topic::new();
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let topic = Arc::clone(&topic);
            thread::spawn(move || assert!(!topic.publish(100)))
        })
        .collect();
    assert!(!topic.publish(100));
    for publisher in publishers {
        publisher.join().unwrap();
    }
    topic.expect_delivered(3);
}

/// A publisher leaves the rest to the thread that is there for that.
pub fn what_a_publisher_leaves_is_delivered_by_the_thread_for_that() {
    let topic = Topic::new();
    let publisher = {
        let topic = Arc::clone(&topic);
        thread::spawn(move || topic.publish(1))
    };
    let other = {
        let topic = Arc::clone(&topic);
        thread::spawn(move || topic.publish(1))
    };
    // It may look up at any time.
    let mut is_left = topic.relay.go_on(100, || topic.deliver());
    is_left |= publisher.join().unwrap();
    is_left |= other.join().unwrap();
    if is_left {
        assert!(!topic.relay.go_on(100, || topic.deliver()));
    }
    topic.expect_delivered(2);
}
