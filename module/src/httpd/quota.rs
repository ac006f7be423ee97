//! How many WebSockets all children have together, for limits that apply to all of them.
//!
//! The counters lie in memory that the parent process shares with its children. Each child counts
//! in a slot of its own. The parent clears the slot when the child has ended for any reason, so the
//! WebSockets of a killed child do not count for ever.
//!
//! A child counts a WebSocket before it compares the sums with the limit. So two children that open
//! one at the same time cannot both take the last place.

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

/// The key by which the parent process finds the memory. It names the layout too, because a restart
/// may load another version of this module.
const KEY: &CStr = c"mod_websocket.quota.3";

/// There are this many slots for each child that httpd may have, because children of earlier
/// generations live on after restarts.
const GENERATIONS: usize = 4;

/// How many WebSockets, of all clients together, can be counted for their client. Further ones are
/// not.
const ENTRIES: usize = 1 << 17;

/// The most clients whose handshake rate is limited at a time.
const CELLS: usize = 1 << 16;

/// The start of the memory, which is all zeros at first. The slots follow it.
#[repr(C, align(64))]
struct Head {
    /// A random number, so that clients cannot know which entries count for them.
    seed: AtomicU64,
    /// Something in `entries` is, or was, in use.
    has_entries: AtomicBool,
    /// The hashes of the virtual hosts' names. The position of a hash is the number of its host.
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

/// The slot of this child.
static OWN: OnceLock<&Slot> = OnceLock::new();

/// The number of a virtual host that may have a limit of its own.
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

/// Returns the memory, and how many slots follow its head.
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

/// Takes a slot for this child. If none is free, its WebSockets are not counted.
pub fn enter() {
    if let Some(slot) = slots().iter().find(|slot| slot.take(pid())) {
        OWN.get_or_init(|| slot);
    }
}

/// Notes that this child accepts no connections any more.
pub fn note_leaving() {
    if let Some(slot) = OWN.get() {
        slot.note_leaving();
    }
}

/// Frees what a child has counted, when it has ended for any reason. For the parent process.
pub fn leave(pid: i32) {
    let pid = pid.unsigned_abs();
    if let Some(quota) = QUOTA.get() {
        if let Some(slot) = quota.slots.iter().find(|slot| slot.is_of(pid)) {
            slot.free();
        }
        // Even reading pages that nobody has used yet would allocate memory for them.
        if quota.head.has_entries.load(Ordering::Relaxed) {
            clients::clear(&quota.head.entries, pid);
        }
    }
}

/// How many children are ending but still have a slot.
#[must_use]
pub fn leaving_children() -> usize {
    slots().iter().filter(|slot| slot.is_leaving()).count()
}

/// What WebSockets take that are open or about to be, in children that accept connections.
#[must_use]
pub fn in_use() -> InUse {
    slot::sum(slots(), false)
}

/// What WebSockets take in children that are ending.
#[must_use]
pub fn in_leaving_children() -> InUse {
    slot::sum(slots(), true)
}

/// How many WebSockets there are in all children.
#[must_use]
pub fn count() -> usize {
    slots().iter().map(Slot::count).sum()
}

/// How many WebSockets of one virtual host there are in all children.
#[must_use]
pub fn count_of(host: Host) -> usize {
    slots().iter().map(|slot| slot.count_of(host.0)).sum()
}

/// The virtual host of this name. `None` if too many have limits of their own.
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

/// The client that this address belongs to.
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
/// How long the client must wait, if it may not make another handshake now.
pub fn count_handshake(client: ClientKey, rate: Rate) -> Result<(), Duration> {
    let Some(quota) = QUOTA.get() else {
        return Ok(());
    };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = Duration::from_secs(now.tv_sec.unsigned_abs());
    let now = seconds + Duration::from_nanos(now.tv_nsec.unsigned_abs());
    rates::count(&quota.head.cells, client, rate, now)
}

/// What one WebSocket takes. Dropping it gives that back.
pub struct Place {
    burden: Burden,
    host: Option<Host>,
    entry: Option<&'static Entry>,
}

impl Place {
    /// Counts a WebSocket that is going to be opened. `host` is its virtual host, if that has a
    /// limit.
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

    /// Counts the WebSocket as this burden from now on.
    #[must_use]
    pub fn with_burden(mut self, burden: Burden) -> Self {
        if let Some(slot) = OWN.get() {
            let host = self.host.map(|host| host.0);
            slot.add(burden, host);
            slot.remove(self.burden, host);
        }
        self.burden = burden;
        self
    }

    /// Counts the WebSocket for its client, which may have `most`. Returns how many that client has
    /// then.
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
