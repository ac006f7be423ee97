//! How many WebSockets the MPM's settings allow, and which part of them is kept for other requests.
//!
//! A child of the event MPM accepts connections while it has fewer than `ThreadsPerChild`, plus
//! `AsyncRequestWorkerFactor` for each idle thread (event.c, `connections_above_limit`). When
//! WebSockets fill all children, no child accepts connections any more, and web pages hang too.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::httpd::lines::{self, Line};
use crate::httpd::mpm;
use crate::httpd::quota::{self, Burden, InUse};

/// httpd's default.
const DEFAULT_FACTOR: usize = 2;

/// The number of WebSockets for which a warning shows suitable settings.
const EXAMPLE: usize = 10_000;

/// `AsyncRequestWorkerFactor` in the configuration that was read last.
static FACTOR: AtomicUsize = AtomicUsize::new(DEFAULT_FACTOR);

/// What the MPM's settings allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The most children that accept connections at a time.
    children: usize,
    /// The threads of each child.
    threads: usize,
    /// How many further connections each idle thread allows. `None` if every connection has a
    /// thread.
    factor: Option<usize>,
    /// The most threads at a time, not counting those of children that are ending.
    most_threads: usize,
}

/// What children that are ending take.
#[derive(Clone, Copy, Debug, Default)]
struct Leaving {
    children: usize,
    /// Threads that serve WebSockets.
    threads: usize,
}

/// The reason why there is no room for another WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    in_use: InUse,
    capacity: Capacity,
    reserve: u8,
}

/// Reads the configuration. Returns a warning if the settings are those of a server without
/// WebSockets.
pub fn read_settings() -> Option<String> {
    let set = factor_in(&lines::all());
    FACTOR.store(set.unwrap_or(DEFAULT_FACTOR), Ordering::Relaxed);
    let capacity = || Capacity::current(Leaving::default());
    (mpm::is_async() && set.is_none()).then(|| capacity().describe())
}

/// The last `AsyncRequestWorkerFactor`, rounded down as httpd does.
fn factor_in(lines: &[Line]) -> Option<usize> {
    let line = lines
        .iter()
        .rfind(|line| line.is("asyncrequestworkerfactor"))?;
    let value: f64 = line.arguments.trim_matches(['"', ' ']).parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is at least 1, and what is too much for the type is its maximum"
    )]
    Some(value.max(1.0) as usize)
}

/// Checks that the open WebSockets, with one that has just been counted, leave `reserve` percent of
/// the MPM's capacity to other requests.
///
/// # Errors
///
/// If they leave less.
pub fn check(burden: Burden, reserve: u8) -> Result<(), Full> {
    if reserve == 0 {
        // The MPM itself limits the rest.
        return Ok(());
    }
    let in_use = quota::in_use();
    let capacity = Capacity::current(Leaving {
        children: quota::leaving_children(),
        threads: quota::in_leaving_children().threads,
    });
    if capacity.holds(in_use, burden, reserve) {
        return Ok(());
    }
    Err(Full {
        in_use,
        capacity,
        reserve,
    })
}

impl Capacity {
    /// The MPM's capacity while some children are ending.
    fn current(leaving: Leaving) -> Self {
        let whole = Self {
            children: mpm::needed_children(),
            threads: mpm::threads_per_child(),
            factor: mpm::is_async().then(|| FACTOR.load(Ordering::Relaxed)),
            most_threads: usize::MAX,
        };
        whole.without_leaving(mpm::most_children(), leaving)
    }

    /// What is left of the capacity if there are `places` for children.
    ///
    /// On the event MPM, a child that is ending takes the place of another child. On the worker
    /// MPM, a new child takes that place at once, and takes over the threads one by one as they end
    /// (worker.c, `start_threads`). On prefork a child is one thread.
    fn without_leaving(self, places: usize, leaving: Leaving) -> Self {
        if self.factor.is_some() {
            let places = places.saturating_sub(leaving.children).max(1);
            return Self {
                children: self.children.min(places),
                ..self
            };
        }
        let all = places.saturating_mul(self.threads);
        Self {
            most_threads: all.saturating_sub(leaving.threads),
            ..self
        }
    }

    fn threads(self) -> usize {
        (self.children * self.threads).min(self.most_threads)
    }

    /// How many connections there may be, with and without threads.
    fn connections(self) -> usize {
        self.threads()
            .saturating_mul(1 + self.factor.unwrap_or_default())
    }

    /// The part of `whole` that is not kept for other requests.
    fn without(reserve: u8, whole: usize) -> usize {
        whole - whole / 100 * usize::from(reserve) - whole % 100 * usize::from(reserve) / 100
    }

    fn holds(self, in_use: InUse, burden: Burden, reserve: u8) -> bool {
        let InUse {
            connections,
            threads,
        } = in_use;
        match burden {
            Burden::Nothing => true,
            Burden::Thread => threads <= Self::without(reserve, self.threads()),
            Burden::Connection => {
                // A thread that is not idle allows no further connections.
                let by_threads = threads.saturating_mul(1 + self.factor.unwrap_or_default());
                let all = connections.saturating_add(by_threads);
                all <= Self::without(reserve, self.connections())
            }
        }
    }

    /// The factor that this many WebSockets need, with a tenth of the connections kept.
    fn factor_for(self, sockets: usize) -> usize {
        (sockets * 10 / 9).div_ceil(self.threads().max(1)).max(2) - 1
    }

    fn describe(self) -> String {
        let Self {
            children, threads, ..
        } = self;
        format!(
            "these settings allow about {} WebSockets ({children} processes with {threads} \
             threads, each of which stands for {} connections); beyond that httpd accepts nothing, \
             web pages included, so handshakes get 503 before that (WebSocketReserve). For \
             {EXAMPLE}: 'AsyncRequestWorkerFactor {}', and as many open files (ulimit -n)",
            self.connections(),
            1 + self.factor.unwrap_or_default(),
            self.factor_for(EXAMPLE),
        )
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            in_use,
            capacity,
            reserve,
        } = self;
        write!(
            f,
            "{} WebSockets without and {} with a thread are open or being opened, and {reserve} % \
             of the {} connections and {} threads that httpd may have are kept for other requests \
             (WebSocketReserve)",
            in_use.connections,
            in_use.threads,
            capacity.connections(),
            capacity.threads(),
        )?;
        if capacity.factor.is_some() {
            f.write_str("; raise AsyncRequestWorkerFactor")
        } else {
            f.write_str("; raise MaxRequestWorkers")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Burden, Capacity, InUse, Leaving, factor_in};
    use crate::httpd::lines::{Line, Scope};

    /// Debian's settings.
    const EVENT: Capacity = Capacity {
        children: 6,
        threads: 25,
        factor: Some(2),
        most_threads: usize::MAX,
    };

    fn in_use(connections: usize, threads: usize) -> InUse {
        InUse {
            connections,
            threads,
        }
    }

    #[test]
    fn the_last_part_of_all_connections_is_kept() {
        assert_eq!(EVENT.connections(), 450);
        for (connections, threads, reserve, holds) in [
            (405, 0, 10, true),
            (406, 0, 10, false),
            (450, 0, 0, true),
            (451, 0, 0, false),
            (375, 10, 10, true),
            (376, 10, 10, false),
            (225, 0, 50, true),
            (226, 0, 50, false),
            (5, 0, 99, true),
            (6, 0, 99, false),
        ] {
            let used = in_use(connections, threads);
            assert_eq!(
                EVENT.holds(used, Burden::Connection, reserve),
                holds,
                "{used:?}"
            );
            assert!(EVENT.holds(used, Burden::Nothing, reserve));
        }
    }

    #[test]
    fn where_each_has_a_thread_the_last_threads_are_kept_if_there_are_as_many() {
        let holds = |threads, used, reserve| {
            let capacity = Capacity {
                children: 1,
                threads,
                factor: None,
                most_threads: usize::MAX,
            };
            capacity.holds(in_use(0, used), Burden::Thread, reserve)
        };
        assert!(holds(150, 135, 10) && !holds(150, 136, 10));
        assert!(holds(10, 9, 10) && !holds(10, 10, 10));
        // A tenth of nine threads is less than one.
        assert!(holds(9, 9, 10) && !holds(9, 10, 10));
    }

    #[test]
    fn children_that_are_ending_take_places_on_event_and_threads_elsewhere() {
        let leaving = |children, threads| Leaving { children, threads };
        let event = |places, children| {
            let capacity = EVENT.without_leaving(places, leaving(children, 25));
            capacity.connections()
        };
        assert_eq!((event(16, 10), event(16, 13), event(6, 6)), (450, 225, 75));
        let worker = |places, children, threads| {
            let factor = None;
            let worker = Capacity { factor, ..EVENT };
            let left = worker.without_leaving(places, leaving(children, threads));
            left.threads()
        };
        assert_eq!((worker(16, 10, 250), worker(16, 13, 7)), (150, 150));
        assert_eq!((worker(6, 6, 7), worker(6, 3, 0)), (143, 150));
        assert_eq!(worker(6, 12, 200), 0);
    }

    #[test]
    fn the_factor_of_the_example_holds_what_it_is_for() {
        for threads in [1, 4, 25, 64] {
            let few = Capacity { threads, ..EVENT };
            let factor = Some(few.factor_for(10_000));
            let enough = Capacity { factor, ..few };
            assert!(enough.holds(in_use(10_000, 0), Burden::Connection, 10));
        }
    }

    #[test]
    fn the_last_factor_counts_and_is_rounded_down() {
        let line = |arguments: &str| Line {
            id: 0,
            name: "asyncrequestworkerfactor".into(),
            arguments: arguments.into(),
            place: String::new(),
            scope: Scope::default(),
        };
        assert_eq!(factor_in(&[]), None);
        assert_eq!(factor_in(&[line("4"), line("\"2.9\"")]), Some(2));
        assert_eq!(factor_in(&[line("0.5")]), Some(1));
        assert_eq!(factor_in(&[line("many")]), None);
    }
}
