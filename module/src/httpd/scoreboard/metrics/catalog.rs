//! The records of all series, and the cells of a child.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::declared::{Declared, Kind, Refused};
use super::family::{self, Family};
use super::record::{self, Key, Record};

/// The most series of all plugins.
pub const MOST_SERIES: usize = 1000;

/// The part of all places, one of so many, that is kept for series without labels, and for the
/// first one of each other metric. Clients often choose the values of labels, and must not take
/// what all other metrics need.
const KEPT_PART: usize = 5;

/// The most series that there may be when one is added beside others of its metric.
pub const MOST_LABELLED_SERIES: usize = MOST_SERIES - MOST_SERIES / KEPT_PART;

/// How many places for records there are. Some stay empty, so that they are found soon.
const PLACES: usize = 2048;

/// How many numbers a child has for all series together. A counter takes one, a histogram one for
/// each range and one more.
pub(super) const CELLS: usize = 16 * 1024;

/// The records of all series, for all processes. All zeros: there are none.
#[repr(C, align(64))]
pub(in crate::httpd::scoreboard) struct Catalog {
    /// How many there are, or are being added.
    series: AtomicU32,
    /// How many cells they have.
    cells: AtomicU32,
    refused: AtomicU64,
    /// The hash of each record's key; 0: the place is free.
    keys: [AtomicU64; PLACES],
    /// The hash of each metric's name.
    names: [AtomicU64; PLACES],
    records: [Record; PLACES],
}

/// The cells of one child. All zeros: nothing counted.
#[repr(C, align(64))]
pub(in crate::httpd::scoreboard) struct Cells([AtomicU64; CELLS]);

impl Catalog {
    /// The number of a series' first cell. The series is added if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be added.
    pub(in crate::httpd::scoreboard) fn find_or_add(
        &self,
        declared: &Declared,
    ) -> Result<usize, Refused> {
        let key = Key::of(declared);
        let found = match self.find(&key) {
            Some(record) => Ok(record.first_cell()),
            None => self.add(declared, &key),
        };
        if found.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// How often a series was refused.
    pub(in crate::httpd::scoreboard) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The places at which a record with this hash may be, one after the other.
    fn places(hash: u64) -> impl Iterator<Item = usize> {
        let first = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        (0..PLACES).map(move |step| (first + step) % PLACES)
    }

    fn find(&self, key: &Key) -> Option<&Record> {
        for place in Self::places(key.hash) {
            match self.keys[place].load(Ordering::Acquire) {
                0 => return None,
                hash if hash == key.hash && self.records[place].is(key) => {
                    return Some(&self.records[place]);
                }
                _ => {}
            }
        }
        None
    }

    fn add(&self, declared: &Declared, key: &Key) -> Result<usize, Refused> {
        if !Record::fits(key, declared) {
            return Err(Refused::TooLong);
        }
        let name = record::hash(declared.full_name().as_bytes());
        let known = self.named(declared, name);
        if known
            .as_ref()
            .is_some_and(|known| !family::is_same(known, declared))
        {
            return Err(Refused::Taken);
        }
        let is_one_of_many = known.is_some() && !declared.labels.is_empty();
        let most = |all: usize| {
            if is_one_of_many {
                all - all / KEPT_PART
            } else {
                all
            }
        };
        let refused = if is_one_of_many {
            Refused::Labels
        } else {
            Refused::Full
        };
        take(&self.series, 1, most(MOST_SERIES)).ok_or(refused)?;
        let Some(first_cell) = take(&self.cells, declared.cells(), most(CELLS)) else {
            self.series.fetch_sub(1, Ordering::Relaxed);
            return Err(refused);
        };
        for place in Self::places(key.hash) {
            let claimed =
                self.keys[place].compare_exchange(0, key.hash, Ordering::AcqRel, Ordering::Acquire);
            if claimed.is_ok() {
                self.names[place].store(name, Ordering::Relaxed);
                self.records[place].write(key, declared, first_cell);
                return Ok(first_cell);
            }
        }
        // Not reached: there are more places than series.
        Err(Refused::Full)
    }

    /// A series of the same name, perhaps of another metric. All series of a name are alike.
    fn named(&self, declared: &Declared, hash: u64) -> Option<Declared> {
        self.names
            .iter()
            .zip(&self.records)
            .filter(|(name, _)| name.load(Ordering::Relaxed) == hash)
            .filter_map(|(_, record)| record.read())
            .find(|known| known.full_name() == declared.full_name())
    }

    /// What the record at each place says, and the number of its first cell.
    fn records(&self) -> impl Iterator<Item = (Declared, usize)> {
        let used = self.keys.iter().zip(&self.records);
        used.filter(|(key, _)| key.load(Ordering::Acquire) != 0)
            .filter_map(|(_, record)| Some((record.read()?, record.first_cell())))
    }
}

/// Takes so many of what there is a limited number of. Returns how many were taken before, if there
/// are enough.
fn take(taken: &AtomicU32, count: usize, limit: usize) -> Option<usize> {
    let more = |taken: u32| {
        let more = taken.checked_add(u32::try_from(count).ok()?)?;
        (more as usize <= limit).then_some(more)
    };
    let before = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    before.ok().map(|before| before as usize)
}

impl Cells {
    /// The cells from this one on.
    pub(in crate::httpd::scoreboard) fn from(&self, first: usize) -> &[AtomicU64] {
        self.0.get(first..).unwrap_or(&[])
    }

    /// Forgets the gauges of a child that has ended.
    pub(in crate::httpd::scoreboard) fn clear_gauges(&self, catalog: &Catalog) {
        for (declared, first) in catalog.records() {
            if declared.kind == Kind::Gauge
                && let Some(cell) = self.0.get(first)
                && cell.load(Ordering::Relaxed) != 0
            {
                cell.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// All metrics, with the sums of these cells, sorted by name.
pub(in crate::httpd::scoreboard) fn families(catalog: &Catalog, cells: &[&Cells]) -> Vec<Family> {
    family::gather(catalog.records().map(|(declared, first)| {
        let count = declared.cells();
        let rows = cells.iter().map(move |cells| &cells.from(first)[..count]);
        (declared, rows)
    }))
}
