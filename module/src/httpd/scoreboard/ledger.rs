//! What one child counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::Histogram;
use super::names::NAMES;
use super::series::{CAUSES, CODES, Closed, Series};

/// The counters of one child, which only its threads write to. All zeros: nothing counted.
#[derive(Default)]
#[repr(C, align(64))]
pub(super) struct Ledger {
    gauges: [AtomicU64; Gauge::ALL.len()],
    totals: [AtomicU64; Total::ALL.len()],
    /// One for each name, and the last for all others.
    accounts: [Account; NAMES + 1],
}

/// What a child shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Threads for event-driven WebSockets.
    Threads,
    /// Those of them that a callback holds which blocks, or is expected to.
    Blocked,
    /// 1: the child serves its connections to their ends and takes no more.
    Draining,
    /// Subscriptions to topics.
    Subscriptions,
    /// The [`Link`] by which the child sends to the broker of topics.
    Sends,
    /// The [`Link`] by which the child gets the broker's messages for this host.
    Imports,
    /// Since when that link is as it is, in seconds since 1970.
    ImportsSince,
    /// So many messages the broker had that this host had not got, when the child last asked.
    Behind,
    /// Messages to topics that wait for the broker.
    Waiting,
}

impl Gauge {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 9] = [
        Self::Threads,
        Self::Blocked,
        Self::Draining,
        Self::Subscriptions,
        Self::Sends,
        Self::Imports,
        Self::ImportsSince,
        Self::Behind,
        Self::Waiting,
    ];
}

/// What a child counts of itself; no total ever goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// Messages that were published to topics.
    Published,
    /// Messages of topics that were queued for subscribers, once for each.
    Delivered,
}

impl Total {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 2] = [Self::Published, Self::Delivered];
}

/// A connection to a broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// There was none yet.
    #[default]
    None,
    /// It works.
    Connected,
    /// It does not work any more, or never did.
    Cut,
}

impl From<u64> for Link {
    fn from(number: u64) -> Self {
        match number {
            1 => Self::Connected,
            2 => Self::Cut,
            _ => Self::None,
        }
    }
}

/// The most kinds of those who close connections.
const CLOSERS: usize = 8;

/// The counters of one location and plugin. Those who count often add up by themselves what they
/// count, and pass it on now and then.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Account {
    open: AtomicU64,
    accepted: AtomicU64,
    /// Bytes that wait for clients.
    queued: AtomicU64,
    /// Messages and bytes, as the plugin sees them.
    received: [AtomicU64; 2],
    sent: [AtomicU64; 2],
    /// Bytes before and after the compression of what is sent, and of what was received.
    deflated: [AtomicU64; 2],
    inflated: [AtomicU64; 2],
    /// How long turns took that handed messages to the plugin.
    pub turns: Histogram,
    /// From a ping to its pong.
    pub pings: Histogram,
    refused: [AtomicU64; CAUSES],
    closed: [[AtomicU64; CODES.len()]; CLOSERS],
}

impl Account {
    pub(super) fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many messages, with so many bytes, have come from clients.
    pub fn add_received(&self, messages: u64, bytes: u64) {
        add(&self.received, [messages, bytes]);
    }

    /// So many messages, with so many bytes, were accepted for clients.
    pub fn add_sent(&self, messages: u64, bytes: u64) {
        add(&self.sent, [messages, bytes]);
    }

    /// Bytes of what is sent, before and after compression.
    pub fn add_deflated(&self, bytes: [u64; 2]) {
        add(&self.deflated, bytes);
    }

    /// Bytes of what has come compressed, before and after decompression.
    pub fn add_inflated(&self, bytes: [u64; 2]) {
        add(&self.inflated, bytes);
    }

    /// So many more bytes wait for clients than before, or fewer.
    pub fn change_queued(&self, more: i64) {
        self.queued
            .fetch_add(more.cast_unsigned(), Ordering::Relaxed);
    }

    /// A handshake was refused. `cause` is the number of the reason, less than [`CAUSES`].
    pub fn refuse(&self, cause: usize) {
        self.refused[cause % CAUSES].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection has ended. `by` is the number of who closed it, `code` the status code.
    pub fn close(&self, by: usize, code: u16) {
        let code = match code {
            1000..=1015 => usize::from(code) - 1000,
            3000..=3999 => 16,
            4000..=4999 => 17,
            _ => 18,
        };
        if let Some(codes) = self.closed.get(by) {
            codes[code].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds all that was counted.
    pub fn add_to(&self, series: &mut Series) {
        let pair = |counters: &[AtomicU64; 2]| [read(&counters[0]), read(&counters[1])];
        series.open += read(&self.open);
        series.accepted += read(&self.accepted);
        series.queued = series.queued.wrapping_add(read(&self.queued));
        for (sum, counters) in [
            (&mut series.received, &self.received),
            (&mut series.sent, &self.sent),
            (&mut series.deflated, &self.deflated),
            (&mut series.inflated, &self.inflated),
        ] {
            let [first, second] = pair(counters);
            sum[0] += first;
            sum[1] += second;
        }
        series.turns.add(&self.turns.read());
        series.pings.add(&self.pings.read());
        for (sum, counter) in series.refused.iter_mut().zip(&self.refused) {
            *sum += read(counter);
        }
        for (by, codes) in self.closed.iter().enumerate() {
            for (code, counter) in codes.iter().enumerate() {
                add_closed(&mut series.closed, (by, code), read(counter));
            }
        }
    }
}

fn add_closed(all: &mut Vec<Closed>, (by, code): (usize, usize), count: u64) {
    if count == 0 {
        return;
    }
    match all
        .iter_mut()
        .find(|closed| (closed.by, closed.code) == (by, code))
    {
        Some(closed) => closed.count += count,
        None => all.push(Closed { by, code, count }),
    }
}

fn add(counters: &[AtomicU64; 2], more: [u64; 2]) {
    for (counter, more) in counters.iter().zip(more) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Ledger {
    pub(super) fn account(&self, place: usize) -> &Account {
        &self.accounts[place.min(NAMES)]
    }

    pub(super) fn change(&self, gauge: Gauge, more: i64) {
        self.gauges[gauge as usize].fetch_add(more.cast_unsigned(), Ordering::Relaxed);
    }

    pub(super) fn set(&self, gauge: Gauge, value: u64) {
        self.gauges[gauge as usize].store(value, Ordering::Relaxed);
    }

    pub(super) fn gauge(&self, gauge: Gauge) -> u64 {
        read(&self.gauges[gauge as usize])
    }

    pub(super) fn add(&self, total: Total, more: u64) {
        self.totals[total as usize].fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn total(&self, total: Total) -> u64 {
        read(&self.totals[total as usize])
    }

    /// Forgets what the child had open; what it has counted stays.
    pub(super) fn clear_gauges(&self) {
        let of_accounts = self
            .accounts
            .iter()
            .flat_map(|account| [&account.open, &account.queued]);
        for gauge in self.gauges.iter().chain(of_accounts) {
            // Memory that was never written to stays untouched.
            if read(gauge) > 0 {
                gauge.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Adds what was counted for the name at `place`.
    pub(super) fn add_to(&self, place: usize, series: &mut Series) {
        self.account(place).add_to(series);
    }
}

#[cfg(test)]
mod tests {
    use super::{CODES, Closed, Gauge, Ledger, Link, Series, Total};

    #[test]
    fn a_ledger_keeps_its_totals_when_its_child_has_ended() {
        let ledger = Ledger::default();
        ledger.change(Gauge::Threads, 7);
        ledger.set(Gauge::Imports, Link::Cut as u64);
        ledger.add(Total::Delivered, 9);
        let account = ledger.account(3);
        account.begin();
        account.begin();
        account.end();
        account.add_received(2, 20);
        account.change_queued(5);
        account.close(1, 1000);
        ledger.clear_gauges();
        let mut series = Series::default();
        ledger.add_to(3, &mut series);
        assert_eq!((ledger.gauge(Gauge::Threads), series.open), (0, 0));
        assert_eq!(Link::from(ledger.gauge(Gauge::Imports)), Link::None);
        assert_eq!(ledger.total(Total::Delivered), 9);
        assert_eq!((series.accepted, series.received), (2, [2, 20]));
        assert_eq!((series.queued, series.closed.len()), (0, 1));
    }

    #[test]
    fn closes_are_counted_by_closer_and_code() {
        let ledger = Ledger::default();
        let account = ledger.account(usize::MAX);
        for code in [999, 1000, 1015, 1016, 2999, 3000, 3999, 4000, 4999, 5000] {
            account.close(2, code);
        }
        account.close(99, 1000);
        let mut series = Series::default();
        ledger.add_to(usize::MAX, &mut series);
        let count = |word: &str| {
            let is_it = |closed: &&Closed| CODES[closed.code] == word && closed.by == 2;
            series
                .closed
                .iter()
                .find(is_it)
                .map_or(0, |closed| closed.count)
        };
        assert_eq!(
            ["1000", "1015", "3xxx", "4xxx", "other"].map(count),
            [1, 1, 2, 2, 4]
        );
    }

    #[test]
    fn each_gauge_and_each_total_has_its_place() {
        for (number, gauge) in Gauge::ALL.into_iter().enumerate() {
            assert_eq!(gauge as usize, number);
        }
        for (number, total) in Total::ALL.into_iter().enumerate() {
            assert_eq!(total as usize, number);
        }
    }

    #[test]
    fn a_link_is_what_was_written() {
        for link in [Link::None, Link::Connected, Link::Cut] {
            assert_eq!(Link::from(link as u64), link);
        }
    }
}
