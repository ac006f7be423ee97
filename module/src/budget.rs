//! Counts the memory of this process that clients hold: unfinished messages, messages that wait for
//! callbacks of async plugins, and output that waits for slow clients.
//!
//! Each holder is counted in steps. A short message therefore costs one comparison, and touches no
//! memory that threads share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A holder is counted in multiples of this many bytes. Smaller changes are ignored.
pub const STEP: usize = 32 * 1024;

/// The budget of this process.
static CHILD: Budget = Budget::new();

/// The function to call when clients hold too much. It must not wait.
static RELIEF: OnceLock<fn()> = OnceLock::new();

/// The bytes held, and their limit.
struct Budget {
    held: AtomicUsize,
    limit: AtomicUsize,
    is_exceeded: AtomicBool,
}

impl Budget {
    const fn new() -> Self {
        Self {
            held: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
            is_exceeded: AtomicBool::new(false),
        }
    }

    fn add(&self, bytes: usize) {
        // The ordering lets a thread that reads the new sum also see which connection holds the
        // bytes.
        let held = self.held.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if held > self.limit.load(Ordering::Relaxed) {
            self.is_exceeded.store(true, Ordering::Release);
        }
    }

    fn subtract(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Whether the limit is exceeded and something was added since the last call.
    fn take_excess(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed) && self.is_exceeded.swap(false, Ordering::AcqRel)
    }

    fn overdraft(&self) -> Option<Overdraft> {
        let (held, limit) = (
            self.held.load(Ordering::Acquire),
            self.limit.load(Ordering::Relaxed),
        );
        (held > limit).then(|| Overdraft {
            held,
            limit,
            excess: held - limit / 8 * 7,
        })
    }
}

/// Clients hold too much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdraft {
    /// Bytes held.
    pub held: usize,
    /// Bytes allowed.
    pub limit: usize,
    /// Bytes to give up. It is a little more than necessary, so that the limit is not exceeded
    /// again at once.
    pub excess: usize,
}

/// Sets how many bytes clients may hold. `None` means no limit.
pub fn set_limit(limit: Option<usize>) {
    let limit = limit.unwrap_or(usize::MAX);
    CHILD.limit.store(limit, Ordering::Relaxed);
}

/// Sets the function that [`relieve`] calls. It must not wait for anything. Only the first call
/// counts.
pub fn relieve_with(relief: fn()) {
    RELIEF.get_or_init(|| relief);
}

/// Makes clients give up memory if they hold too much. A thread calls this after it may have added
/// bytes, and holds no lock then.
#[inline]
pub fn relieve() {
    if CHILD.take_excess()
        && let Some(relief) = RELIEF.get()
    {
        relief();
    }
}

/// How far the limit is exceeded, if it is.
#[must_use]
pub fn overdraft() -> Option<Overdraft> {
    CHILD.overdraft()
}

/// Counts bytes that belong to no single connection.
pub fn add(bytes: usize) {
    CHILD.add(bytes);
}

/// Takes back bytes that were counted with [`add`].
pub fn subtract(bytes: usize) {
    CHILD.subtract(bytes);
}

/// The bytes counted for one holder. Dropping it takes them back.
#[derive(Debug, Default)]
pub struct Charge(usize);

impl Charge {
    /// Sets how many bytes the holder has. Returns whether the counted bytes have changed.
    #[inline]
    pub fn set(&mut self, bytes: usize) -> bool {
        self.set_after(bytes, || ())
    }

    /// Like [`set`](Self::set), but calls `tell` first if the counted bytes are going to change.
    #[inline]
    pub fn set_after(&mut self, bytes: usize, tell: impl FnOnce()) -> bool {
        if bytes < self.0 + STEP && self.0 < bytes + STEP {
            return false;
        }
        tell();
        self.change(bytes - bytes % STEP);
        true
    }

    /// The bytes counted.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.0
    }

    #[cold]
    fn change(&mut self, to: usize) {
        let from = std::mem::replace(&mut self.0, to);
        if to > from {
            CHILD.add(to - from);
        } else {
            CHILD.subtract(from - to);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.0 > 0 {
            self.change(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Charge, Ordering, Overdraft, STEP};

    #[test]
    fn a_charge_follows_in_steps() {
        let mut charge = Charge::default();
        for (bytes, has_changed, charged) in [
            (STEP - 1, false, 0),
            (STEP, true, 1),
            (2 * STEP - 1, false, 1),
            (1, false, 1),
            (0, true, 0),
            (100 * STEP + 7, true, 100),
            (99 * STEP + 1, false, 100),
            (99 * STEP, true, 99),
            (0, true, 0),
        ] {
            assert_eq!(charge.set(bytes), has_changed, "{bytes}");
            assert_eq!(charge.bytes(), charged * STEP, "{bytes}");
        }
    }

    #[test]
    fn a_holder_can_record_its_bytes_before_they_are_counted() {
        // Far more than other tests count at the same time.
        const MUCH: usize = 1 << 50;
        let held = || super::CHILD.held.load(Ordering::Relaxed);
        let (mut charge, mut before) = (Charge::default(), None);
        assert!(!charge.set_after(1, || before = Some(held())));
        assert_eq!(before, None);
        assert!(charge.set_after(MUCH, || before = Some(held())));
        assert!(before.is_some_and(|before| before < MUCH) && held() >= MUCH);
    }

    #[test]
    fn an_excess_is_reported_once_until_more_is_added() {
        let budget = Budget::new();
        budget.add(1 << 40);
        assert!(!budget.take_excess(), "there is no limit");
        assert_eq!(budget.overdraft(), None);
        budget.subtract(1 << 40);
        budget.limit.store(800, Ordering::Relaxed);
        budget.add(800);
        assert!(!budget.take_excess());
        budget.add(1);
        assert!(budget.take_excess());
        assert!(!budget.take_excess());
        let expected = Overdraft {
            held: 801,
            limit: 800,
            excess: 101,
        };
        assert_eq!(budget.overdraft(), Some(expected));
        budget.add(1);
        assert!(budget.take_excess());
        budget.subtract(2);
        assert_eq!(budget.overdraft(), None);
    }
}
