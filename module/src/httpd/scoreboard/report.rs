//! The sums over all children, at a moment.

use super::board::BOARD;
use super::layout::Board;
use super::ledger::Gauge;
use super::names::Name;
use super::series::Series;
use super::slot::Open;

/// What is counted by itself, and the rest: see [`names`](super::names).
const OTHERS: &str = "other";

/// What all children have counted.
#[derive(Debug, Default)]
pub struct Report {
    /// Since when, in seconds since 1970.
    pub began: u64,
    /// The children that there are, by process id.
    pub processes: Vec<Process>,
    /// By location and plugin, sorted. There is none where nothing was counted.
    pub series: Vec<Series>,
}

/// A child.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Its WebSockets.
    pub open: Open,
    /// Its threads for event-driven WebSockets.
    pub threads: u64,
    /// Those of them that are given to callbacks that block.
    pub blocked: u64,
    /// Whether it serves its connections to their ends and takes no more.
    pub is_draining: bool,
}

/// Adds up what all children have counted until now. Totals never go down from one report to the
/// next.
#[must_use]
pub fn report() -> Report {
    BOARD.get().map_or_else(Report::default, |board| Report {
        began: board.began(),
        processes: processes(board),
        series: series(board),
    })
}

fn processes(board: &Board) -> Vec<Process> {
    let slots = board.used_slots().iter().enumerate();
    let process = slots.map(|(place, slot)| {
        let ledger = board
            .has_own_ledger(place)
            .then(|| board.ledger(Some(place)));
        let gauge = |gauge| ledger.map_or(0, |ledger| ledger.gauge(gauge));
        Process {
            pid: slot.pid(),
            open: slot.open(),
            threads: gauge(Gauge::Threads),
            blocked: gauge(Gauge::Blocked),
            is_draining: gauge(Gauge::Draining) > 0,
        }
    });
    let mut processes: Vec<_> = process.filter(|process| process.pid != 0).collect();
    processes.sort_unstable_by_key(|process| process.pid);
    processes
}

fn series(board: &Board) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    let others = (OTHERS.to_owned(), OTHERS.to_owned());
    let names = board.names.iter().map(Name::read);
    for (place, name) in names.chain([Some(others)]).enumerate() {
        let Some((location, plugin)) = name else {
            continue;
        };
        // Two children may have added a name at the same time.
        let is_same = |known: &Series| known.location == location && known.plugin == plugin;
        let known = all.iter().position(is_same).unwrap_or_else(|| {
            all.push(Series {
                location,
                plugin,
                ..Series::default()
            });
            all.len() - 1
        });
        for ledger in board.used_ledgers() {
            ledger.add_to(place, &mut all[known]);
        }
    }
    all.retain(Series::has_any);
    all.sort_by(|one, next| (&one.location, &one.plugin).cmp(&(&next.location, &next.plugin)));
    for series in &mut all {
        series
            .closed
            .sort_unstable_by_key(|closed| (closed.by, closed.code));
    }
    all
}
