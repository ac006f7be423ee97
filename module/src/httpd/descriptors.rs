//! Whether the process can afford another long-lived connection.
//!
//! httpd ends a child process that has no descriptor left for the next connection it accepts, and
//! with it all WebSockets of that child. So the last descriptors are kept for requests, which are
//! soon over.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::log::{Level, Throttle, log_server};
use super::mpm;

/// Descriptors kept for requests, in addition to two for each thread. At most a quarter of all are
/// kept.
const RESERVE: usize = 64;

/// After descriptors were found to be short, they are not counted again for this long. Counting
/// takes time in proportion to their number, and clients may ask as often as they like.
const PAUSE: Duration = Duration::from_millis(50);

/// How many descriptors one system call asks about.
const CHUNK: usize = 1024;

/// The process has too few descriptors left for another WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    limit: usize,
}

/// What the last count has shown.
struct State {
    /// How many connections may be opened before the descriptors are counted again.
    credit: usize,
    counted_low: Option<Instant>,
}

static STATE: Mutex<State> = Mutex::new(State {
    credit: 0,
    counted_low: None,
});

static THROTTLE: Throttle = Throttle::new();

/// Checks that one more WebSocket leaves enough descriptors for requests. Logs a shortage, once a
/// minute.
///
/// # Errors
///
/// When there are too few.
pub fn check() -> Result<(), Shortage> {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Ok(());
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let reserve = reserve(limit, mpm::threads_per_child());
    // The system hands out the lowest free number. So the highest numbers are free, unless nearly
    // all descriptors were in use at some time.
    if open_between(limit - reserve, limit) == 0 {
        return Ok(());
    }
    if lock().can_afford(limit, reserve, Instant::now(), || open_between(0, limit)) {
        return Ok(());
    }
    if THROTTLE.admits(&limit) {
        let text = format!(
            "nearly all {limit} descriptors of this process (ulimit -n) are in use: handshakes get \
             503, because the last ones are for requests; raise the limit, or have more processes"
        );
        log_server(Level::Error, &text);
    }
    Err(Shortage { limit })
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "nearly all {} descriptors are in use", self.limit)
    }
}

fn reserve(limit: usize, threads: usize) -> usize {
    (RESERVE + 2 * threads).min(limit / 4)
}

impl State {
    /// Whether one more connection leaves `reserve` descriptors of `limit`. `count` returns how
    /// many are in use.
    fn can_afford(
        &mut self,
        limit: usize,
        reserve: usize,
        now: Instant,
        count: impl FnOnce() -> usize,
    ) -> bool {
        if self.credit > 0 {
            self.credit -= 1;
            return true;
        }
        let is_recent = |counted: Instant| now.duration_since(counted) < PAUSE;
        if self.counted_low.is_some_and(is_recent) {
            return false;
        }
        let spare = (limit - reserve).saturating_sub(count());
        // A connection may take several descriptors, and other code opens some too.
        self.credit = spare / 8;
        self.counted_low = (spare == 0).then_some(now);
        spare > 0
    }
}

/// How many descriptors from `first` to just below `end` are in use.
fn open_between(first: usize, end: usize) -> usize {
    let chunk = |from: usize| {
        let numbers = from..end.min(from + CHUNK);
        let mut asked: Vec<_> = numbers
            .map(|number| libc::pollfd {
                // An open descriptor always fits into an `int`.
                fd: libc::c_int::try_from(number).unwrap_or(-1),
                events: 0,
                revents: 0,
            })
            .collect();
        // SAFETY: the kernel writes to the entries given. It does not wait.
        let answered = unsafe { libc::poll(asked.as_mut_ptr(), asked.len() as libc::nfds_t, 0) };
        let is_open = |entry: &&libc::pollfd| entry.fd >= 0 && entry.revents & libc::POLLNVAL == 0;
        if answered < 0 {
            return 0;
        }
        asked.iter().filter(is_open).count()
    };
    let end_of_int = usize::try_from(libc::c_int::MAX).unwrap_or(usize::MAX);
    (first..end.min(end_of_int)).step_by(CHUNK).map(chunk).sum()
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{PAUSE, State, open_between, reserve};
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    const NEW: State = State {
        credit: 0,
        counted_low: None,
    };

    #[test]
    fn a_small_process_keeps_most_of_its_descriptors_for_websockets() {
        assert_eq!(reserve(20_000, 25), 114);
        assert_eq!(reserve(64, 1), 16);
        assert_eq!(reserve(0, 64), 0);
    }

    #[test]
    fn open_descriptors_are_told_from_closed_ones() {
        let file = File::open("/dev/null").unwrap();
        let number = usize::try_from(file.as_raw_fd()).unwrap();
        assert_eq!(open_between(number, number + 1), 1);
        // Other tests open and close files meanwhile, but none so many.
        assert_eq!(open_between(5_000, 8_000), 0);
        assert!((3..1_000).contains(&open_between(0, 8_000)));
    }

    #[test]
    fn descriptors_are_counted_only_now_and_then() {
        let mut state = NEW;
        let now = Instant::now();
        assert!(state.can_afford(300, 75, now, || 200));
        for _ in 0..25 / 8 {
            assert!(state.can_afford(300, 75, now, || panic!("counted again")));
        }
        assert!(!state.can_afford(300, 75, now, || 225));
        let soon = now + PAUSE - Duration::from_millis(1);
        assert!(!state.can_afford(300, 75, soon, || panic!("counted again")));
        assert!(state.can_afford(300, 75, now + PAUSE, || 224));
        assert!(!state.can_afford(300, 75, now + PAUSE, || 300));
    }
}
