//! What connections add to the counters of this child process.
//!
//! A thread adds up what its connections count in memory of its own, and passes the sums on to the
//! shared counters. A thread that runs an event loop does so at the end of each pass, any other
//! thread at once. So a message costs a few additions, and loops do not compete for the cache lines
//! of the counters.

use std::cell::RefCell;
use std::ptr;
use std::time::Duration;

use crate::httpd::scoreboard::{Account, Distribution};
use crate::protocol::{Closing, Traffic};

/// The counters that a connection adds to, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter(Option<&'static Account>);

/// What a thread has counted but not passed on yet.
#[derive(Default)]
struct Pending {
    account: Option<&'static Account>,
    received: Traffic,
    sent: Traffic,
    /// Bytes before and after compression.
    deflated: [u64; 2],
    inflated: [u64; 2],
    turns: Distribution,
    has_turns: bool,
    /// The thread runs an event loop, and passes its sums on at the end of a pass.
    waits_for_pass: bool,
}

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
}

impl Meter {
    /// A meter that counts in `account`, or not at all.
    #[must_use]
    pub fn new(account: Option<&'static Account>) -> Self {
        Self(account)
    }

    /// Counts messages that a turn handed to the plugin. `inflated` is how many of their bytes
    /// arrived compressed, and how many bytes these became. `took` is how long the turn lasted.
    pub fn turn(self, received: Traffic, inflated: [u64; 2], took: Duration) {
        self.note(|pending| {
            pending.received.add(received);
            add(&mut pending.inflated, inflated);
            pending.turns.note(took);
            pending.has_turns = true;
        });
    }

    /// Counts a pong, and how long the client `took` to send it after the ping.
    pub fn ping(self, took: Duration) {
        if let Some(account) = self.0 {
            account.pings.note(took);
        }
    }

    /// Counts messages that were accepted for the client.
    pub fn sent(self, sent: Traffic) {
        if sent != Traffic::default() {
            self.note(|pending| pending.sent.add(sent));
        }
    }

    /// Counts a message that was compressed from `before` bytes to `after`.
    pub fn deflated(self, before: usize, after: usize) {
        self.note(|pending| add(&mut pending.deflated, [before as u64, after as u64]));
    }

    /// Notes that `now` bytes wait for the client, where `before` bytes waited until now.
    pub fn queued(self, now: usize, before: usize) {
        if let Some(account) = self.0 {
            account.change_queued((now as u64).wrapping_sub(before as u64).cast_signed());
        }
    }

    /// Counts the end of the connection.
    pub fn closed(self, closing: &Closing) {
        if let Some(account) = self.0 {
            account.close(closing.by as usize, closing.code);
        }
    }

    fn note(self, note: impl FnOnce(&mut Pending)) {
        let Some(account) = self.0 else { return };
        let note = |pending: &mut Pending| {
            if !pending.account.is_some_and(|known| ptr::eq(known, account)) {
                pending.pass_on();
                pending.account = Some(account);
            }
            note(pending);
            if !pending.waits_for_pass {
                pending.pass_on();
            }
        };
        let mut note = Some(note);
        let noted = PENDING.try_with(|pending| {
            if let Some(note) = note.take() {
                note(&mut pending.borrow_mut());
            }
        });
        // The thread is ending, and its thread-local memory is gone.
        if let (Err(_), Some(note)) = (noted, note) {
            note(&mut Pending::default());
        }
    }
}

impl Pending {
    fn pass_on(&mut self) {
        let Some(account) = self.account else { return };
        if self.received.messages > 0 {
            account.add_received(self.received.messages, self.received.bytes);
            self.received = Traffic::default();
        }
        if self.sent.messages > 0 {
            account.add_sent(self.sent.messages, self.sent.bytes);
            self.sent = Traffic::default();
        }
        if self.deflated != [0, 0] {
            account.add_deflated(self.deflated);
            self.deflated = [0, 0];
        }
        if self.inflated != [0, 0] {
            account.add_inflated(self.inflated);
            self.inflated = [0, 0];
        }
        if self.has_turns {
            account.turns.add(&self.turns);
            self.turns = Distribution::default();
            self.has_turns = false;
        }
    }
}

fn add(sums: &mut [u64; 2], more: [u64; 2]) {
    sums[0] += more[0];
    sums[1] += more[1];
}

/// Notes that this thread begins to run an event loop: [`end_pass`] passes on what it counts.
pub fn begin_passes() {
    with_pending(|pending| pending.waits_for_pass = true);
}

/// Passes on what the loop has counted in this pass.
pub fn end_pass() {
    with_pending(Pending::pass_on);
}

/// Passes on what the loop has counted, and notes that this thread runs no event loop any more.
pub fn end_passes() {
    with_pending(|pending| {
        pending.pass_on();
        pending.waits_for_pass = false;
    });
}

fn with_pending(body: impl FnOnce(&mut Pending)) {
    // `try_with` fails only on a thread that is ending, which has nothing left to pass on.
    let _ = PENDING.try_with(|pending| body(&mut pending.borrow_mut()));
}

#[cfg(test)]
mod tests {
    use super::{Account, Duration, Meter, Traffic, begin_passes, end_pass, end_passes};
    use crate::httpd::scoreboard::Series;

    fn account() -> (&'static Account, Meter) {
        let account: &Account = Box::leak(Box::default());
        (account, Meter::new(Some(account)))
    }

    fn read(account: &Account) -> Series {
        let mut series = Series::default();
        account.add_to(&mut series);
        series
    }

    #[test]
    fn a_thread_without_a_loop_passes_on_at_once() {
        let (account, meter) = account();
        meter.sent(Traffic::message(5));
        meter.turn(Traffic::message(3), [7, 9], Duration::from_micros(20));
        meter.deflated(10, 4);
        meter.queued(3, 10);
        meter.queued(10, 3);
        let series = read(account);
        assert_eq!((series.received, series.sent), ([1, 3], [1, 5]));
        assert_eq!((series.inflated, series.deflated), ([7, 9], [10, 4]));
        assert_eq!((series.turns.count(), series.queued), (1, 0));
    }

    #[test]
    fn a_loop_passes_on_at_the_end_of_a_pass_and_when_it_serves_another_account() {
        let (account, meter) = account();
        let (other, other_meter) = self::account();
        begin_passes();
        meter.sent(Traffic::message(1));
        meter.sent(Traffic::message(1));
        assert_eq!(read(account).sent, [0, 0]);
        other_meter.sent(Traffic::message(2));
        assert_eq!(read(account).sent, [2, 2]);
        assert_eq!(read(other).sent, [0, 0]);
        end_pass();
        end_pass();
        assert_eq!(read(other).sent, [1, 2]);
        meter.sent(Traffic::message(1));
        end_passes();
        assert_eq!(read(account).sent, [3, 3]);
        meter.sent(Traffic::message(1));
        assert_eq!(read(account).sent, [4, 4]);
    }

    #[test]
    fn without_shared_memory_nothing_is_counted() {
        let meter = Meter::default();
        meter.sent(Traffic::message(1));
        meter.queued(1, 0);
    }
}
