//! Which child has how many WebSockets open.

use std::sync::atomic::{AtomicU32, Ordering};

/// The place of one child, on a cache line of its own.
#[derive(Default)]
#[repr(C, align(64))]
pub(super) struct Slot {
    /// 0: the slot is free.
    pid: AtomicU32,
    open: [AtomicU32; 3],
}

/// How a WebSocket is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By a loop.
    EventDriven,
    /// By a loop, and forgotten by httpd.
    Detached,
    /// By a thread, or process, of its own.
    WithThread,
}

/// How many WebSockets are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Served by a loop, and known to httpd.
    pub event_driven: u64,
    /// Served by a loop, and forgotten by httpd.
    pub detached: u64,
    /// Each with a thread, or process, of its own.
    pub with_thread: u64,
}

impl Open {
    /// These and those.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            event_driven: self.event_driven + other.event_driven,
            detached: self.detached + other.detached,
            with_thread: self.with_thread + other.with_thread,
        }
    }
}

impl Slot {
    /// Whether the slot was free, and is this child's now.
    pub(super) fn take(&self, pid: u32) -> bool {
        self.pid
            .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn free(&self) {
        for counter in &self.open {
            counter.store(0, Ordering::Relaxed);
        }
        self.pid.store(0, Ordering::Release);
    }

    /// The child's process id; 0 if the slot is free.
    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// So many more are open, or fewer.
    pub(super) fn change(&self, kind: Kind, more: i32) {
        self.open[kind as usize].fetch_add(more.cast_unsigned(), Ordering::Relaxed);
    }

    pub(super) fn open(&self) -> Open {
        let read = |kind| self.open[kind as usize].load(Ordering::Relaxed).into();
        Open {
            event_driven: read(Kind::EventDriven),
            detached: read(Kind::Detached),
            with_thread: read(Kind::WithThread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Open, Slot};

    #[test]
    fn a_slot_has_one_child_at_a_time_and_nothing_is_left_of_the_last() {
        let slot = Slot::default();
        assert!(slot.take(7));
        assert!(!slot.take(8));
        slot.change(Kind::WithThread, 1);
        slot.change(Kind::EventDriven, 3);
        slot.change(Kind::EventDriven, -1);
        let open = Open {
            event_driven: 2,
            detached: 0,
            with_thread: 1,
        };
        assert_eq!((slot.pid(), slot.open()), (7, open));
        slot.free();
        assert!(slot.take(8));
        assert_eq!(slot.open(), Open::default());
    }
}
