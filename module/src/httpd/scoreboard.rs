//! How many WebSockets each child has, for all children to read.
//!
//! The counters lie in memory that the parent process shares with all its children. The parent
//! keeps it through restarts, so that children that are still ending go on counting where the new
//! ones look.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::error::check;
use super::{mpm, sys};

/// What the parent process keeps the memory by. It names the layout too: a restart may load another
/// version of this module.
const KEY: &std::ffi::CStr = c"mod_websocket.scoreboard.1";

/// So many old children for each new one still have a place, after restarts in a row.
const GENERATIONS: usize = 4;

/// The start of the shared memory; all of it begins as zeros.
#[repr(C)]
struct Head {
    accepted: AtomicU64,
}

/// The counters of one child.
#[derive(Default)]
#[repr(C)]
struct Slot {
    /// 0: the slot is free.
    pid: AtomicU32,
    event_driven: AtomicU32,
    detached: AtomicU32,
    with_thread: AtomicU32,
}

/// What the parent process keeps.
#[repr(C)]
struct Retained {
    head: *const Head,
    slots: usize,
}

#[derive(Clone, Copy)]
struct Scoreboard {
    head: &'static Head,
    slots: &'static [Slot],
}

/// Set by the parent process, before it forks.
static SCOREBOARD: OnceLock<Scoreboard> = OnceLock::new();

/// That of this child.
static OWN: OnceLock<&Slot> = OnceLock::new();

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
    let scoreboard = unsafe {
        let mut retained = sys::ap_retained_data_get(KEY.as_ptr()).cast::<Retained>();
        if retained.is_null() {
            let (head, slots) = allocate((*(*server).process).pool)?;
            retained = sys::ap_retained_data_create(KEY.as_ptr(), size_of::<Retained>()).cast();
            retained.write(Retained { head, slots });
        }
        let Retained { head, slots } = retained.read();
        Scoreboard {
            head: &*head,
            slots: std::slice::from_raw_parts(head.add(1).cast(), slots),
        }
    };
    SCOREBOARD.get_or_init(|| scoreboard);
    Ok(())
}

/// The memory, and how many slots follow its head.
///
/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn allocate(pool: *mut sys::apr_pool_t) -> io::Result<(*const Head, usize)> {
    let slots = GENERATIONS * mpm::most_children();
    let size = size_of::<Head>() + slots * size_of::<Slot>();
    let mut memory = ptr::null_mut();
    // SAFETY: the caller vouches for the pool. APR aligns the memory for every basic type.
    unsafe {
        check(sys::apr_shm_create(
            &raw mut memory,
            size,
            ptr::null(),
            pool,
        ))?;
        let start: *mut c_void = sys::apr_shm_baseaddr_get(memory);
        start.write_bytes(0, size);
        Ok((start.cast(), slots))
    }
}

/// Takes a slot for this child. Should all be taken, its WebSockets count only as accepted.
pub fn enter() {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let slots = SCOREBOARD.get().map_or(&[][..], |board| board.slots);
    if let Some(slot) = slots.iter().find(|slot| slot.take(pid.unsigned_abs())) {
        OWN.get_or_init(|| slot);
    }
}

/// Frees the slot of a child that has ended, in whatever way.
pub fn leave(pid: i32) {
    let slots = SCOREBOARD.get().map_or(&[][..], |board| board.slots);
    let is_its = |slot: &&Slot| slot.pid.load(Ordering::Acquire) == pid.unsigned_abs();
    if let Some(slot) = slots.iter().find(is_its) {
        slot.free();
    }
}

/// The children that have WebSockets, by process id.
pub fn children() -> Vec<(u32, Open)> {
    let slots = SCOREBOARD.get().map_or(&[][..], |board| board.slots);
    let mut children: Vec<_> = slots
        .iter()
        .map(|slot| (slot.pid.load(Ordering::Acquire), slot.open()))
        .filter(|(pid, open)| *pid != 0 && *open != Open::default())
        .collect();
    children.sort_unstable_by_key(|(pid, _)| *pid);
    children
}

/// How many WebSockets there have been since httpd was started.
pub fn accepted() -> u64 {
    let board = SCOREBOARD.get();
    board.map_or(0, |board| board.head.accepted.load(Ordering::Relaxed))
}

/// Counts a WebSocket for as long as it lives.
pub struct Counted(Option<&'static AtomicU32>);

/// Counts a WebSocket that has just been accepted.
#[must_use]
pub fn count(kind: Kind) -> Counted {
    let counter = OWN.get().map(|slot| slot.counter(kind));
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(board) = SCOREBOARD.get() {
        board.head.accepted.fetch_add(1, Ordering::Relaxed);
    }
    Counted(counter)
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(counter) = self.0 {
            counter.fetch_sub(1, Ordering::Relaxed);
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
        for kind in [Kind::EventDriven, Kind::Detached, Kind::WithThread] {
            self.counter(kind).store(0, Ordering::Relaxed);
        }
        self.pid.store(0, Ordering::Release);
    }

    fn counter(&self, kind: Kind) -> &AtomicU32 {
        match kind {
            Kind::EventDriven => &self.event_driven,
            Kind::Detached => &self.detached,
            Kind::WithThread => &self.with_thread,
        }
    }

    fn open(&self) -> Open {
        let read = |kind| self.counter(kind).load(Ordering::Relaxed).into();
        Open {
            event_driven: read(Kind::EventDriven),
            detached: read(Kind::Detached),
            with_thread: read(Kind::WithThread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Open, Ordering, Slot};

    #[test]
    fn a_slot_has_one_child_at_a_time_and_nothing_is_left_of_the_last() {
        let slot = Slot::default();
        assert!(slot.take(7));
        assert!(!slot.take(8));
        slot.counter(Kind::WithThread)
            .fetch_add(1, Ordering::Relaxed);
        slot.counter(Kind::EventDriven)
            .fetch_add(2, Ordering::Relaxed);
        let open = Open {
            event_driven: 2,
            detached: 0,
            with_thread: 1,
        };
        assert_eq!(slot.open(), open);
        slot.free();
        assert!(slot.take(8));
        assert_eq!(slot.open(), Open::default());
    }
}
