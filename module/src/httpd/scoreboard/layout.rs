//! Where what lies in the shared memory.

use std::ffi::{CStr, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::ledger::Ledger;
use super::metrics::{Catalog, Cells};
use super::names::{NAMES, Name};
use super::slot::Slot;
use crate::httpd::error::check;
use crate::httpd::{mpm, sys};

/// So many old children for each new one still have a place, after restarts in a row.
const GENERATIONS: usize = 4;

/// The most children that have ledgers of their own. Only prefork has more; they share one.
const MOST_LEDGERS: usize = 256;

/// The alignment of all parts.
const ALIGNMENT: usize = 64;

/// The shared memory, part by part.
#[derive(Clone, Copy)]
pub(super) struct Board {
    head: &'static Head,
    pub(super) names: &'static [Name],
    pub(super) slots: &'static [Slot],
    /// The last one is for children without one of their own.
    ledgers: &'static [Ledger],
    pub(super) catalog: &'static Catalog,
    /// What plugins count in each child. There are as many as ledgers.
    cells: &'static [Cells],
}

/// The start of the memory.
#[repr(C, align(64))]
struct Head {
    /// Slots from here on were never taken.
    used: AtomicUsize,
    /// When the memory was made, in seconds since 1970.
    began: u64,
    names: [Name; NAMES],
}

/// What the parent process keeps.
#[repr(C)]
struct Retained {
    head: *mut Head,
    slots: usize,
}

impl Board {
    /// Makes the memory, or finds it.
    ///
    /// # Safety
    ///
    /// This is the parent process, without other threads; `pool` lives as long as the process.
    pub(super) unsafe fn share(key: &CStr, pool: *mut sys::apr_pool_t) -> io::Result<Self> {
        // SAFETY: httpd hands out what was kept by this key, which only this function does. The
        // memory is mapped as long as the process runs, and so is a child's copy of the mapping.
        unsafe {
            let mut retained = sys::ap_retained_data_get(key.as_ptr()).cast::<Retained>();
            if retained.is_null() {
                let slots = GENERATIONS * mpm::most_children();
                let head = allocate(pool, slots)?;
                retained = sys::ap_retained_data_create(key.as_ptr(), size_of::<Retained>()).cast();
                retained.write(Retained { head, slots });
            }
            let Retained { head, slots } = retained.read();
            Ok(Self::at(head, slots))
        }
    }

    /// # Safety
    ///
    /// `allocate` has made the memory for so many slots.
    unsafe fn at(head: *mut Head, slots: usize) -> Self {
        // SAFETY: there is room for all parts, one behind the other; their sizes are multiples of
        // their alignment. All consist of atomic numbers, for which zeros are a good value.
        unsafe {
            let first_slot = head.add(1).cast::<Slot>();
            let first_ledger = first_slot.add(slots).cast::<Ledger>();
            let catalog = first_ledger.add(ledgers(slots)).cast::<Catalog>();
            let first_cells = catalog.add(1).cast::<Cells>();
            Self {
                head: &*head,
                names: &(*head).names,
                slots: std::slice::from_raw_parts(first_slot, slots),
                ledgers: std::slice::from_raw_parts(first_ledger, ledgers(slots)),
                catalog: &*catalog,
                cells: std::slice::from_raw_parts(first_cells, ledgers(slots)),
            }
        }
    }

    /// When the memory was made, in seconds since 1970.
    pub(super) fn began(&self) -> u64 {
        self.head.began
    }

    /// Takes a slot. Returns its place, if there was one.
    pub(super) fn take_slot(&self, pid: u32) -> Option<usize> {
        let place = self.slots.iter().position(|slot| slot.take(pid))?;
        self.head.used.fetch_max(place + 1, Ordering::AcqRel);
        Some(place)
    }

    /// Frees the slot of a child that has ended.
    pub(super) fn free_slot(&self, pid: u32) {
        let Some(place) = self.used_slots().iter().position(|slot| slot.pid() == pid) else {
            return;
        };
        if self.has_own_ledger(place) {
            self.ledgers[place].clear_gauges();
            self.cells[place].clear_gauges(self.catalog);
        }
        self.slots[place].free();
    }

    /// The slots that were ever taken.
    pub(super) fn used_slots(&self) -> &'static [Slot] {
        let used = self.head.used.load(Ordering::Acquire);
        &self.slots[..used.min(self.slots.len())]
    }

    /// The ledger that belongs to a slot; without a slot, the one for all such children.
    pub(super) fn ledger(&self, place: Option<usize>) -> &'static Ledger {
        let last = self.ledgers.len() - 1;
        let own = place.filter(|place| self.has_own_ledger(*place));
        &self.ledgers[own.unwrap_or(last)]
    }

    /// Whether the child in this slot shares its ledger with nobody.
    pub(super) fn has_own_ledger(&self, place: usize) -> bool {
        place < self.ledgers.len() - 1
    }

    /// The ledgers in which anything may have been counted.
    pub(super) fn used_ledgers(&self) -> impl Iterator<Item = &'static Ledger> {
        self.ledgers[..self.own_ledgers()]
            .iter()
            .chain(self.ledgers.last())
    }

    /// Where the child in this slot counts for plugins; without a slot, where all such children do.
    pub(super) fn cells(&self, place: Option<usize>) -> &'static Cells {
        let own = place.filter(|place| self.has_own_ledger(*place));
        &self.cells[own.unwrap_or(self.cells.len() - 1)]
    }

    /// The cells in which anything may have been counted.
    pub(super) fn used_cells(&self) -> Vec<&'static Cells> {
        let own = self.cells[..self.own_ledgers()].iter();
        own.chain(self.cells.last()).collect()
    }

    /// How many ledgers belong to one child each, or did.
    fn own_ledgers(&self) -> usize {
        self.used_slots().len().min(self.ledgers.len() - 1)
    }
}

/// How many ledgers there are for so many slots.
fn ledgers(slots: usize) -> usize {
    slots.min(MOST_LEDGERS) + 1
}

/// Memory for all parts, of zeros but for the time in it.
///
/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn allocate(pool: *mut sys::apr_pool_t, slots: usize) -> io::Result<*mut Head> {
    let size = size_of::<Head>()
        + slots * size_of::<Slot>()
        + ledgers(slots) * (size_of::<Ledger>() + size_of::<Cells>())
        + size_of::<Catalog>()
        + ALIGNMENT;
    let mut memory = ptr::null_mut();
    let name = ptr::null();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // SAFETY: the caller vouches for the pool. Anonymous shared memory is of zeros (mmap(2),
    // shmget(2)); it is not touched before it is used, so that it costs nothing until then. There
    // is room for the alignment.
    unsafe {
        check(sys::apr_shm_create(&raw mut memory, size, name, pool))?;
        let start: *mut c_void = sys::apr_shm_baseaddr_get(memory);
        let head = start.byte_add(start.align_offset(ALIGNMENT)).cast::<Head>();
        (&raw mut (*head).began).write(now.map_or(0, |now| now.as_secs()));
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGNMENT, Board, Catalog, Cells, Head, Ledger, MOST_LEDGERS, Slot, ledgers};
    use crate::httpd::scoreboard::ledger::Gauge;
    use crate::httpd::scoreboard::series::Series;

    /// Zeros for so many slots, which nobody frees.
    fn board(slots: usize) -> Board {
        let of_children = size_of::<Ledger>() + size_of::<Cells>();
        let size = size_of::<Head>()
            + slots * size_of::<Slot>()
            + ledgers(slots) * of_children
            + size_of::<Catalog>();
        let memory = vec![0_u8; size + ALIGNMENT].leak();
        let start = memory.as_mut_ptr();
        // SAFETY: the memory is as large as all parts together, and lives for ever.
        unsafe { Board::at(start.add(start.align_offset(ALIGNMENT)).cast(), slots) }
    }

    #[test]
    fn all_parts_are_aligned() {
        for size in [
            size_of::<Head>(),
            size_of::<Slot>(),
            size_of::<Ledger>(),
            size_of::<Catalog>(),
            size_of::<Cells>(),
        ] {
            assert_eq!(size % ALIGNMENT, 0);
        }
    }

    #[test]
    fn totals_outlive_children_and_gauges_do_not() {
        let board = board(2);
        let accepted = || {
            let mut series = Series::default();
            board
                .used_ledgers()
                .for_each(|ledger| ledger.add_to(0, &mut series));
            (series.open, series.accepted)
        };
        for pid in [7, 8] {
            let place = board.take_slot(pid);
            assert_eq!(place, Some(0));
            let ledger = board.ledger(place);
            ledger.account(0).begin();
            ledger.change(Gauge::Threads, 1);
            board.free_slot(pid);
            assert_eq!(ledger.gauge(Gauge::Threads), 0);
        }
        assert_eq!(accepted(), (0, 2));
    }

    #[test]
    fn children_without_a_slot_or_ledger_count_together() {
        let board = board(MOST_LEDGERS + 1);
        for pid in 1..=u32::try_from(MOST_LEDGERS).unwrap() {
            assert!(board.has_own_ledger(board.take_slot(pid).unwrap()));
        }
        let without_ledger = board.take_slot(9999);
        assert_eq!(without_ledger, Some(MOST_LEDGERS));
        assert_eq!(board.take_slot(10_000), None);
        let shared = board.ledger(None);
        assert!(std::ptr::eq(board.ledger(without_ledger), shared));
        shared.change(Gauge::Threads, 1);
        board.free_slot(9999);
        assert_eq!(shared.gauge(Gauge::Threads), 1, "others use it");
        assert_eq!(board.used_ledgers().count(), MOST_LEDGERS + 1);
    }
}
