//! How many WebSockets all children have that httpd has to bear, for limits that hold for all of
//! them.
//!
//! The counters lie in memory that the parent process shares with its children. Each child counts
//! in a place of its own, which the parent clears when the child has ended, in whatever way: so
//! nothing is counted for ever that a killed child has left. Who opens a WebSocket counts it first
//! and looks at the sums then: so two who do that at once cannot both get the last place.

use std::ffi::{CStr, c_void};
use std::io;
use std::ptr;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::check;
use super::{mpm, sys};

/// What the parent process keeps the memory by. It names the layout too: a restart may load another
/// version of this module.
const KEY: &CStr = c"mod_websocket.quota.1";

/// So many old children for each new one still have a place, after restarts in a row.
const GENERATIONS: usize = 4;

/// The counters of one child.
#[derive(Default)]
#[repr(C)]
struct Slot {
    /// 0: the slot is free.
    pid: AtomicU32,
    /// Not 0: the child is ending, and accepts no connections any more.
    is_leaving: AtomicU32,
    /// WebSockets the MPM knows and that hold no thread.
    connections: AtomicU32,
    /// WebSockets that each hold a thread of the MPM, or a process.
    threads: AtomicU32,
}

/// What the parent process keeps.
#[repr(C)]
struct Retained {
    slots: *const Slot,
    count: usize,
}

/// Set by the parent process, before it forks.
static SLOTS: OnceLock<&[Slot]> = OnceLock::new();

/// That of this child.
static OWN: OnceLock<&Slot> = OnceLock::new();

/// What a WebSocket takes of what the MPM has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burden {
    /// A connection without a thread.
    Connection,
    /// A thread of the MPM, or a process.
    Thread,
    /// Nothing: httpd has forgotten it, or it counts elsewhere.
    Nothing,
}

/// What WebSockets take in all children that accept connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Connections without a thread.
    pub connections: usize,
    /// Threads of the MPM, or processes.
    pub threads: usize,
}

/// Makes the shared memory, or finds what an earlier configuration has made.
///
/// # Errors
///
/// When the system has no such memory.
///
/// # Safety
///
/// This is the parent process, without other threads, and `server` is live.
pub unsafe fn share(server: *const sys::server_rec) -> io::Result<()> {
    // SAFETY: httpd hands out what was kept by this key, which only this function does. The memory
    // is mapped as long as the process runs, and so is a child's copy of the mapping.
    let slots = unsafe {
        let mut retained = sys::ap_retained_data_get(KEY.as_ptr()).cast::<Retained>();
        if retained.is_null() {
            let (slots, count) = allocate((*(*server).process).pool)?;
            retained = sys::ap_retained_data_create(KEY.as_ptr(), size_of::<Retained>()).cast();
            retained.write(Retained { slots, count });
        }
        let Retained { slots, count } = retained.read();
        slice::from_raw_parts(slots, count)
    };
    SLOTS.get_or_init(|| slots);
    Ok(())
}

/// The memory, and how many slots it has.
///
/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn allocate(pool: *mut sys::apr_pool_t) -> io::Result<(*const Slot, usize)> {
    let count = GENERATIONS * mpm::most_children();
    let size = count * size_of::<Slot>();
    let mut memory = ptr::null_mut();
    // SAFETY: the caller vouches for the pool. APR aligns the memory for every basic type.
    unsafe {
        let created = sys::apr_shm_create(&raw mut memory, size, ptr::null(), pool);
        check(created)?;
        let start: *mut c_void = sys::apr_shm_baseaddr_get(memory);
        start.write_bytes(0, size);
        Ok((start.cast(), count))
    }
}

fn slots() -> &'static [Slot] {
    SLOTS.get().copied().unwrap_or_default()
}

/// Takes a slot for this child. Should all be taken, its WebSockets do not count.
pub fn enter() {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    if let Some(slot) = slots().iter().find(|slot| slot.take(pid.unsigned_abs())) {
        OWN.get_or_init(|| slot);
    }
}

/// This child accepts no connections any more.
pub fn note_leaving() {
    if let Some(slot) = OWN.get() {
        slot.is_leaving.store(1, Ordering::Relaxed);
    }
}

/// Frees the slot of a child that has ended, in whatever way.
pub fn leave(pid: i32) {
    let is_its = |slot: &&Slot| slot.pid.load(Ordering::Acquire) == pid.unsigned_abs();
    if let Some(slot) = slots().iter().find(is_its) {
        slot.free();
    }
}

/// How many children are ending that still have a place among those of httpd.
#[must_use]
pub fn leaving_children() -> usize {
    let slots = slots().iter().filter(|slot| slot.is_used());
    slots.filter(|slot| slot.is_leaving()).count()
}

/// What the WebSockets take that are open or about to be.
#[must_use]
pub fn in_use() -> InUse {
    sum(slots())
}

fn sum(slots: &[Slot]) -> InUse {
    let mut sum = InUse::default();
    for slot in slots.iter().filter(|slot| !slot.is_leaving()) {
        let read = |counter: &AtomicU32| counter.load(Ordering::SeqCst) as usize;
        sum.connections += read(&slot.connections);
        sum.threads += read(&slot.threads);
    }
    sum
}

/// What one WebSocket takes, until this is dropped.
pub struct Place(Option<&'static AtomicU32>);

impl Place {
    /// Counts a WebSocket that is going to be opened.
    #[must_use]
    pub fn take(burden: Burden) -> Self {
        let counter = OWN.get().and_then(|slot| slot.counter(burden));
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Self(counter)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(counter) = self.0 {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Slot {
    /// Whether the slot was free, and is this child's now.
    fn take(&self, pid: u32) -> bool {
        self.pid
            .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    fn free(&self) {
        for counter in [&self.connections, &self.threads, &self.is_leaving] {
            counter.store(0, Ordering::SeqCst);
        }
        self.pid.store(0, Ordering::Release);
    }

    fn is_used(&self) -> bool {
        self.pid.load(Ordering::Acquire) != 0
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed) != 0
    }

    fn counter(&self, burden: Burden) -> Option<&AtomicU32> {
        match burden {
            Burden::Connection => Some(&self.connections),
            Burden::Thread => Some(&self.threads),
            Burden::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Burden, InUse, Ordering, Slot, sum};

    #[test]
    fn the_sums_leave_out_children_that_are_ending_and_what_a_dead_one_had() {
        let slots = [Slot::default(), Slot::default()];
        for (pid, slot) in (1..).zip(&slots) {
            assert!(slot.take(pid) && !slot.take(7));
            for burden in [Burden::Connection, Burden::Connection, Burden::Thread] {
                let counter = slot.counter(burden).unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
            }
            assert!(slot.counter(Burden::Nothing).is_none());
        }
        let in_use = |connections, threads| InUse {
            connections,
            threads,
        };
        assert_eq!(sum(&slots), in_use(4, 2));
        slots[0].is_leaving.store(1, Ordering::Relaxed);
        assert_eq!(sum(&slots), in_use(2, 1));
        slots[0].free();
        assert!(slots[0].take(7) && !slots[0].is_leaving());
        assert_eq!(sum(&slots), in_use(2, 1));
    }
}
