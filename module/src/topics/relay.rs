//! Who delivers: one thread at a time, on behalf of all that have published.
//!
//! `module/models` tries how threads may interleave in here.

use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// See the module.
pub struct Relay {
    /// How often somebody has asked and is not done. Whoever makes this more than zero works, until
    /// it is zero again.
    asked: AtomicUsize,
    /// Whoever worked has left the rest to the thread that is there for that.
    is_left: AtomicBool,
}

impl Relay {
    /// Nobody has asked for anything.
    pub fn new() -> Self {
        Self {
            asked: AtomicUsize::new(0),
            is_left: AtomicBool::new(false),
        }
    }

    /// Has `work` done until it returns `false` and nobody has asked since. If another thread does
    /// that already, it does this, too. After `most` times the rest is left: then this returns
    /// `true`, and somebody has to [go on](Self::go_on).
    #[must_use]
    pub fn ask(&self, most: u32, work: impl FnMut() -> bool) -> bool {
        // Release and Acquire: whoever works sees what was there before somebody asked.
        self.asked.fetch_add(1, Ordering::AcqRel) == 0 && self.run(1, most, work)
    }

    /// The same for the thread that is there for that: also goes on where others have left off.
    #[must_use]
    pub fn go_on(&self, most: u32, work: impl FnMut() -> bool) -> bool {
        let is_left = self.is_left.swap(false, Ordering::AcqRel);
        let asked = self.asked.fetch_add(1, Ordering::AcqRel);
        (is_left || asked == 0) && self.run(asked + 1, most, work)
    }

    fn run(&self, mut asked: usize, most: u32, mut work: impl FnMut() -> bool) -> bool {
        for _ in 0..most {
            if work() {
                continue;
            }
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            match self.asked.compare_exchange(asked, 0, success, failure) {
                Ok(_) => return false,
                Err(now) => asked = now,
            }
        }
        // Not just a store: loom would let it fall behind a swap that has read what was there
        // before.
        self.is_left.swap(true, Ordering::AcqRel);
        true
    }
}
