//! How many WebSockets all children have, for limits that hold for all of them.
//!
//! The counters lie in memory that the parent process shares with its children. Each child counts
//! in a place of its own, which the parent clears when the child has ended, in whatever way: so
//! nothing is counted for ever that a killed child has left. Who opens a WebSocket counts it first
//! and looks at the sums then: so two who do that at once cannot both get the last place.

mod clients;
mod rates;
mod slot;

use std::ffi::{CStr, c_void};
use std::hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState};
use std::io;
use std::ptr;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::error::check;
use super::{mpm, sys};
use crate::protocol::Rate;
use clients::Entry;
use rates::Cell;
use slot::{HOSTS, Slot};

pub use clients::ClientKey;
pub use slot::{Burden, InUse};

/// What the parent process keeps the memory by. It names the layout too: a restart may load another
/// version of this module.
const KEY: &CStr = c"mod_websocket.quota.3";

/// So many old children for each new one still have a place, after restarts in a row.
const GENERATIONS: usize = 4;

/// WebSockets of clients that are limited; more are not counted.
const ENTRIES: usize = 1 << 17;

/// Clients whose handshakes are limited, at a time.
const CELLS: usize = 1 << 16;

/// The start of the memory; all of it begins as zeros. The slots follow.
#[repr(C, align(64))]
struct Head {
    /// Keeps clients from knowing where they are counted.
    seed: AtomicU64,
    /// There is, or was, something in `entries`.
    has_entries: AtomicBool,
    /// Which virtual host has which number: hashes of their names.
    hosts: [AtomicU64; HOSTS],
    cells: [Cell; CELLS],
    entries: [Entry; ENTRIES],
}

/// What the parent process keeps.
#[repr(C)]
struct Retained {
    head: *const Head,
    slots: usize,
}

#[derive(Clone, Copy)]
struct Quota {
    head: &'static Head,
    slots: &'static [Slot],
}

/// Set by the parent process, before it forks.
static QUOTA: OnceLock<Quota> = OnceLock::new();

/// That of this child.
static OWN: OnceLock<&Slot> = OnceLock::new();

/// A virtual host that may have a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(usize);

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
    let quota = unsafe {
        let mut retained = sys::ap_retained_data_get(KEY.as_ptr()).cast::<Retained>();
        if retained.is_null() {
            let (head, slots) = allocate((*(*server).process).pool)?;
            retained = sys::ap_retained_data_create(KEY.as_ptr(), size_of::<Retained>()).cast();
            retained.write(Retained { head, slots });
        }
        let Retained { head, slots } = retained.read();
        Quota {
            head: &*head,
            slots: slice::from_raw_parts(head.add(1).cast(), slots),
        }
    };
    QUOTA.get_or_init(|| quota);
    Ok(())
}

/// The memory, and how many slots follow its head.
///
/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn allocate(pool: *mut sys::apr_pool_t) -> io::Result<(*const Head, usize)> {
    let slots = GENERATIONS * mpm::most_children();
    const { assert!(align_of::<Slot>() <= align_of::<Head>()) };
    let room = align_of::<Head>(); // for the alignment
    let size = room + size_of::<Head>() + slots * size_of::<Slot>();
    let mut memory = ptr::null_mut();
    // SAFETY: the caller vouches for the pool. There is room to align the start. The system gives
    // new memory filled with zeros, and takes none for pages that nobody writes to.
    unsafe {
        let created = sys::apr_shm_create(&raw mut memory, size, ptr::null(), pool);
        check(created)?;
        let start: *mut c_void = sys::apr_shm_baseaddr_get(memory);
        let head = start.byte_add(start.align_offset(room)).cast::<Head>();
        let seed = RandomState::new().build_hasher().finish();
        (*head).seed.store(seed, Ordering::Relaxed);
        Ok((head, slots))
    }
}

fn slots() -> &'static [Slot] {
    QUOTA.get().map_or(&[], |quota| quota.slots)
}

fn pid() -> u32 {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    pid.unsigned_abs()
}

/// Takes a slot for this child. Should all be taken, its WebSockets do not count.
pub fn enter() {
    if let Some(slot) = slots().iter().find(|slot| slot.take(pid())) {
        OWN.get_or_init(|| slot);
    }
}

/// This child accepts no connections any more.
pub fn note_leaving() {
    if let Some(slot) = OWN.get() {
        slot.note_leaving();
    }
}

/// Frees what a child has counted that has ended, in whatever way.
pub fn leave(pid: i32) {
    let pid = pid.unsigned_abs();
    if let Some(quota) = QUOTA.get() {
        if let Some(slot) = quota.slots.iter().find(|slot| slot.is_of(pid)) {
            slot.free();
        }
        // To look at untouched memory takes memory.
        if quota.head.has_entries.load(Ordering::Relaxed) {
            clients::clear(&quota.head.entries, pid);
        }
    }
}

/// How many children are ending that still have a place among those of httpd.
#[must_use]
pub fn leaving_children() -> usize {
    slots().iter().filter(|slot| slot.is_leaving()).count()
}

/// What the WebSockets take that are open or about to be, in children that accept connections.
#[must_use]
pub fn in_use() -> InUse {
    slot::sum(slots(), false)
}

/// What those take that are in children which are ending.
#[must_use]
pub fn in_leaving_children() -> InUse {
    slot::sum(slots(), true)
}

/// How many WebSockets there are in all children.
#[must_use]
pub fn count() -> usize {
    slots().iter().map(Slot::count).sum()
}

/// The same, of one virtual host.
#[must_use]
pub fn count_of(host: Host) -> usize {
    slots().iter().map(|slot| slot.count_of(host.0)).sum()
}

/// The virtual host of this name; `None` if too many have limits.
#[must_use]
pub fn host(name: &[u8]) -> Option<Host> {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    let name = hasher.finish().max(1);
    let hosts = &QUOTA.get()?.head.hosts;
    let is_its = |place: &AtomicU64| {
        let taken = place.compare_exchange(0, name, Ordering::AcqRel, Ordering::Acquire);
        taken.map_or_else(|other| other == name, |_| true)
    };
    hosts.iter().position(is_its).map(Host)
}

/// Who is taken to be one client, whose address this is.
#[must_use]
pub fn client(address: &[u8]) -> ClientKey {
    let seed = QUOTA
        .get()
        .map_or(0, |quota| quota.head.seed.load(Ordering::Relaxed));
    ClientKey::new(address, seed)
}

/// Counts a handshake of a client.
///
/// # Errors
///
/// It may not make another one for so long.
pub fn count_handshake(client: ClientKey, rate: Rate) -> Result<(), Duration> {
    let Some(quota) = QUOTA.get() else {
        return Ok(());
    };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = Duration::from_secs(now.tv_sec.unsigned_abs());
    let now = seconds + Duration::from_nanos(now.tv_nsec.unsigned_abs());
    rates::count(&quota.head.cells, client, rate, now)
}

/// What one WebSocket takes, until this is dropped.
pub struct Place {
    burden: Burden,
    host: Option<Host>,
    entry: Option<&'static Entry>,
}

impl Place {
    /// Counts a WebSocket that is going to be opened, for a virtual host too if that has a limit.
    #[must_use]
    pub fn take(burden: Burden, host: Option<Host>) -> Self {
        if let Some(slot) = OWN.get() {
            slot.add(burden, host.map(|host| host.0));
        }
        Self {
            burden,
            host,
            entry: None,
        }
    }

    /// Counts it for its client, which may have `most`. Returns how many the client has then.
    pub fn count_for(&mut self, client: ClientKey, most: usize) -> usize {
        let Some(quota) = QUOTA.get() else {
            return 0;
        };
        quota.head.has_entries.store(true, Ordering::Relaxed);
        let (entry, count) = clients::claim(&quota.head.entries, client, pid(), most);
        self.entry = entry;
        count
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(slot) = OWN.get() {
            slot.remove(self.burden, self.host.map(|host| host.0));
        }
        if let Some(entry) = self.entry {
            entry.free();
        }
    }
}
