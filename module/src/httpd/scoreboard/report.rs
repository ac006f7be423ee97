//! The sums over all children, at a moment.

use super::board::BOARD;
use super::layout::Board;
use super::ledger::{Gauge, Link, Total};
use super::metrics::{self, Family};
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
    /// Messages that were published to topics.
    pub published: u64,
    /// Messages of topics that were queued for subscribers, once for each.
    pub delivered: u64,
    /// What plugins count, sorted by name.
    pub metrics: Vec<Family>,
    /// How often there was no place for a series of a plugin's metric.
    pub refused_metrics: u64,
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
    /// Subscriptions to topics.
    pub subscriptions: u64,
    /// The connection by which it sends to a broker of topics.
    pub sends: Link,
    /// The connection by which it gets the messages of a broker for this host.
    pub imports: Link,
    /// Since when that one is as it is, in seconds since 1970.
    pub imports_since: u64,
    /// So many messages the broker had that this host had not got, when the child last asked.
    pub behind: u64,
    /// Messages to topics that wait for the broker.
    pub waiting: u64,
}

/// Adds up what all children have counted until now. Totals never go down from one report to the
/// next.
#[must_use]
pub fn report() -> Report {
    BOARD.get().map_or_else(Report::default, |board| Report {
        began: board.began(),
        processes: processes(board),
        series: series(board),
        published: total(board, Total::Published),
        delivered: total(board, Total::Delivered),
        metrics: metrics::families(board.catalog, &board.used_cells()),
        refused_metrics: board.catalog.refused(),
    })
}

fn total(board: &Board, total: Total) -> u64 {
    board.used_ledgers().map(|ledger| ledger.total(total)).sum()
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
            subscriptions: gauge(Gauge::Subscriptions),
            sends: gauge(Gauge::Sends).into(),
            imports: gauge(Gauge::Imports).into(),
            imports_since: gauge(Gauge::ImportsSince),
            behind: gauge(Gauge::Behind),
            waiting: gauge(Gauge::Waiting),
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
