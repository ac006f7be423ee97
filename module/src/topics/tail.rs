//! What the thread does that waits for what others publish.

use std::time::Duration;

use rustix::thread::Timespec;
use rustix::time::{ClockId, clock_gettime};

use super::hub::Hub;
use crate::httpd::guard::guard;

/// Who has come and gone is written after so long, together.
const PRESENCE_DELAY: Duration = Duration::from_secs(1);

/// What is too old is removed from histories so often, where there are any.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Delivers what others publish, and does what has to be done now and then, until the child ends.
pub(super) fn run(hub: &Hub) {
    let mut deaths = None;
    // Rules do not change while the child lives.
    let sweeps = hub.rules.keep_for_a_time();
    let mut next_sweep = now();
    loop {
        let seen = hub.commons.news();
        if hub.waiter.is_stopping() {
            return;
        }
        hub.deliver_and_go_on();
        let deaths_now = hub.commons.deaths();
        if deaths.replace(deaths_now) != Some(deaths_now) {
            guard("topics", (), || hub.remove_dead());
            if let Some(outbox) = &hub.outbox {
                outbox.deaths.notify_one();
            }
        }
        let now = now();
        let presence = hub.presence.due(PRESENCE_DELAY);
        let presence_due = match presence {
            Some(left) if left.is_zero() => {
                guard("topics", (), || hub.write_presence());
                None
            }
            left => left.map(|left| now + left),
        };
        if sweeps && next_sweep <= now {
            guard("topics", (), || {
                let swept = hub.log.sweep(|space, topic| hub.rules.keep(space, topic));
                if let Err(error) = swept {
                    let _ = Hub::failed(&error);
                }
            });
            next_sweep = now + SWEEP_INTERVAL;
        }
        let sweep_due = sweeps.then_some(next_sweep);
        let until = presence_due.into_iter().chain(sweep_due).min();
        hub.commons
            .wait(seen, until.and_then(|until| Timespec::try_from(until).ok()));
    }
}

/// The monotonic clock, which futexes wait by.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(now.tv_sec.unsigned_abs(), nanoseconds)
}
