//! The counters of one child.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many virtual hosts can have limits of their own.
pub(super) const HOSTS: usize = 128;

/// The counters of one child, in cache lines of their own.
#[repr(C, align(64))]
pub(super) struct Slot {
    /// The process id of the child. 0: the slot is free.
    pid: AtomicU32,
    /// Not 0: the child is ending, and accepts no connections any more.
    is_leaving: AtomicU32,
    /// All WebSockets of the child.
    all: AtomicU32,
    /// WebSockets that the MPM counts as connections and that hold no thread.
    connections: AtomicU32,
    /// WebSockets that each hold a thread of the MPM, or a process.
    threads: AtomicU32,
    /// The WebSockets of each virtual host that has a limit.
    hosts: [AtomicU32; HOSTS],
}

/// What a WebSocket takes of the resources of the MPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burden {
    /// A connection without a thread.
    Connection,
    /// A thread of the MPM, or a process.
    Thread,
    /// Nothing: httpd has forgotten the connection, or it is counted elsewhere.
    Nothing,
}

/// What WebSockets take in several children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Connections without a thread.
    pub connections: usize,
    /// Threads of the MPM, or processes.
    pub threads: usize,
}

/// What WebSockets take in children that are ending, or else in those that are not.
pub(super) fn sum(slots: &[Slot], is_leaving: bool) -> InUse {
    let mut sum = InUse::default();
    for slot in slots.iter().filter(|slot| slot.is_leaving() == is_leaving) {
        sum.connections += read(&slot.connections);
        sum.threads += read(&slot.threads);
    }
    sum
}

fn read(counter: &AtomicU32) -> usize {
    counter.load(Ordering::SeqCst) as usize
}

impl Slot {
    /// Takes the slot for a child. Returns whether it was free.
    pub(super) fn take(&self, pid: u32) -> bool {
        self.pid
            .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn is_of(&self, pid: u32) -> bool {
        self.pid.load(Ordering::Acquire) == pid
    }

    pub(super) fn free(&self) {
        let counters = [
            &self.all,
            &self.connections,
            &self.threads,
            &self.is_leaving,
        ];
        for counter in counters.into_iter().chain(&self.hosts) {
            counter.store(0, Ordering::SeqCst);
        }
        self.pid.store(0, Ordering::Release);
    }

    pub(super) fn note_leaving(&self) {
        self.is_leaving.store(1, Ordering::Relaxed);
    }

    /// Whether the child is ending. False for a free slot.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed) != 0
    }

    pub(super) fn count(&self) -> usize {
        read(&self.all)
    }

    pub(super) fn count_of(&self, host: usize) -> usize {
        self.hosts.get(host).map_or(0, read)
    }

    pub(super) fn add(&self, burden: Burden, host: Option<usize>) {
        for counter in self.counters(burden, host) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn remove(&self, burden: Burden, host: Option<usize>) {
        for counter in self.counters(burden, host) {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn counters(&self, burden: Burden, host: Option<usize>) -> impl Iterator<Item = &AtomicU32> {
        let of_burden = match burden {
            Burden::Connection => Some(&self.connections),
            Burden::Thread => Some(&self.threads),
            Burden::Nothing => None,
        };
        let of_host = host.and_then(|host| self.hosts.get(host));
        [Some(&self.all), of_burden, of_host].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::{AtomicU32, Burden, HOSTS, InUse, Slot, sum};

    fn slot() -> Slot {
        Slot {
            pid: AtomicU32::new(0),
            is_leaving: AtomicU32::new(0),
            all: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            threads: AtomicU32::new(0),
            hosts: [const { AtomicU32::new(0) }; HOSTS],
        }
    }

    #[test]
    fn sums_keep_ending_children_apart_and_leave_out_freed_slots() {
        let slots = [slot(), slot()];
        for (pid, slot) in (1..).zip(&slots) {
            assert!(slot.take(pid) && !slot.take(7) && slot.is_of(pid));
            for burden in [Burden::Connection, Burden::Connection, Burden::Thread] {
                slot.add(burden, None);
            }
            slot.add(Burden::Nothing, None);
        }
        let in_use = |connections, threads| InUse {
            connections,
            threads,
        };
        assert_eq!(sum(&slots, false), in_use(4, 2));
        slots[1].remove(Burden::Connection, None);
        slots[0].note_leaving();
        assert_eq!(sum(&slots, false), in_use(1, 1));
        assert_eq!(sum(&slots, true), in_use(2, 1));
        slots[0].free();
        assert!(slots[0].take(7) && !slots[0].is_leaving());
        assert_eq!(sum(&slots, false), in_use(1, 1));
        assert_eq!(sum(&slots, true), in_use(0, 0));
    }

    #[test]
    fn each_virtual_host_is_counted_by_itself() {
        let slot = slot();
        slot.add(Burden::Connection, Some(3));
        slot.add(Burden::Nothing, Some(3));
        slot.add(Burden::Thread, None);
        slot.add(Burden::Thread, Some(4));
        assert_eq!(
            (slot.count(), slot.count_of(3), slot.count_of(4)),
            (4, 2, 1)
        );
        slot.remove(Burden::Nothing, Some(3));
        assert_eq!(
            (slot.count(), slot.count_of(3), slot.count_of(1000)),
            (3, 1, 0)
        );
        slot.free();
        assert_eq!((slot.count(), slot.count_of(3)), (0, 0));
    }
}
