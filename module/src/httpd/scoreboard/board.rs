//! The shared memory of this process, and its own part of it.

use std::ffi::CStr;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::layout::Board;
use super::ledger::{Account, Gauge, Ledger, Total};
use super::metrics::{Cells, Declared, Kind as MetricKind, Refused};
use super::names;
use super::slot::{Kind, Slot};
use crate::httpd::log::{Level, log_server};
use crate::httpd::sys;

/// What the parent process keeps the memory by. It names the layout too: a restart may load another
/// version of this module.
const KEY: &CStr = c"mod_websocket.scoreboard.4";

/// Set by the parent process, before it forks.
pub(super) static BOARD: OnceLock<Board> = OnceLock::new();

/// What this child counts in.
static OWN: OnceLock<Own> = OnceLock::new();

/// Of this child alone: others may count in its ledger.
static IS_DRAINING: AtomicBool = AtomicBool::new(false);

/// The part of a child.
struct Own {
    /// `None`: all slots were taken.
    slot: Option<&'static Slot>,
    ledger: &'static Ledger,
    cells: &'static Cells,
    /// Whether no other child counts in the ledger and the cells.
    is_alone: bool,
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
    // SAFETY: the caller vouches for the process and its server.
    let board = unsafe { Board::share(KEY, (*(*server).process).pool)? };
    BOARD.get_or_init(|| board);
    Ok(())
}

/// Takes a slot for this child. Should all be taken, it counts in the ledger for such children.
/// What one of those has open when it is killed is then shown for ever.
pub fn enter() {
    let Some(board) = BOARD.get() else { return };
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let place = board.take_slot(pid.unsigned_abs());
    OWN.get_or_init(|| Own {
        is_alone: place.is_some_and(|place| board.has_own_ledger(place)),
        slot: place.map(|place| &board.slots[place]),
        ledger: board.ledger(place),
        cells: board.cells(place),
    });
}

/// Frees the slot of a child that has ended, in whatever way. For the parent process.
pub fn leave(pid: i32) {
    if let Some(board) = BOARD.get() {
        board.free_slot(pid.unsigned_abs());
    }
}

/// Where this child counts what belongs to WebSockets of a location and a plugin, both by the names
/// to be shown; `None` without shared memory.
#[must_use]
pub fn account(location: &str, plugin: &str) -> Option<&'static Account> {
    let (board, own) = (BOARD.get()?, OWN.get()?);
    let place = names::find_or_add(board.names, location, plugin);
    if place == board.names.len() && !IS_FULL.swap(true, Ordering::Relaxed) {
        let text = format!(
            "the status counts WebSockets of {location} ({plugin}) and of all further locations \
             and plugins together: {place} are counted by themselves since httpd was started; to \
             forget those of earlier configurations, stop httpd and start it"
        );
        log_server(Level::Warning, &text);
    }
    Some(own.ledger.account(place))
}

/// This process has told that there is no place for another name.
static IS_FULL: AtomicBool = AtomicBool::new(false);

/// This child takes no more connections, and serves those it has to their ends.
pub fn begin_drain() {
    if !IS_DRAINING.swap(true, Ordering::Relaxed) {
        change_gauge(Gauge::Draining, 1);
    }
}

/// Whether this child does so.
#[must_use]
pub fn is_draining() -> bool {
    IS_DRAINING.load(Ordering::Relaxed)
}

/// Changes a gauge of this child by so much.
pub fn change_gauge(gauge: Gauge, more: i64) {
    if let Some(own) = OWN.get().filter(|own| own.is_alone) {
        own.ledger.change(gauge, more);
    }
}

/// Sets a gauge of this child.
pub fn set_gauge(gauge: Gauge, value: u64) {
    if let Some(own) = OWN.get().filter(|own| own.is_alone) {
        own.ledger.set(gauge, value);
    }
}

/// Adds to a total of this child.
pub fn add_total(total: Total, more: u64) {
    if let Some(own) = OWN.get() {
        own.ledger.add(total, more);
    }
}

/// Where this child counts a series of a plugin's metric; the series is added if it is not there.
/// The numbers stay where they are until the process ends. They change by atomic operations only.
///
/// # Errors
///
/// See [`Refused`].
pub fn metric(declared: &Declared) -> Result<&'static [AtomicU64], Refused> {
    let (Some(board), Some(own)) = (BOARD.get(), OWN.get()) else {
        return Err(Refused::Unavailable);
    };
    if declared.kind == MetricKind::Gauge && !own.is_alone {
        // Nobody would clear what this child leaves.
        return Err(Refused::Shared);
    }
    let first = board.catalog.find_or_add(declared)?;
    Ok(own.cells.from(first))
}

/// Counts a WebSocket for as long as it lives.
pub struct Counted {
    kind: Kind,
    account: Option<&'static Account>,
}

/// Counts a WebSocket that has just been accepted.
#[must_use]
pub fn count(kind: Kind, account: Option<&'static Account>) -> Counted {
    if let Some(slot) = OWN.get().and_then(|own| own.slot) {
        slot.change(kind, 1);
    }
    if let Some(account) = account {
        account.begin();
    }
    Counted { kind, account }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(slot) = OWN.get().and_then(|own| own.slot) {
            slot.change(self.kind, -1);
        }
        if let Some(account) = self.account {
            account.end();
        }
    }
}
