//! What a plugin does again and again, without a connection.

use crate::Topics;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often [`Plugin::on_tick`](crate::Plugin::on_tick) is called, and in which processes.
///
/// A plugin that a `.htaccess` file names gets no ticks, because it is loaded for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticks {
    pub(crate) interval: Duration,
    pub(crate) is_in_one_process: bool,
}

impl Ticks {
    /// In one process of httpd at a time. When that one ends, however it does, another goes on: at
    /// the next tick, or up to 100 milliseconds later if the interval is shorter. After a graceful
    /// restart one of the new processes goes on. There are no ticks from the moment at which httpd
    /// begins to read its configuration again.
    ///
    /// The interval is at least a millisecond. Instances of the plugin with different options tick
    /// each for itself.
    #[must_use]
    pub fn in_one_process(interval: Duration) -> Self {
        Self {
            interval,
            is_in_one_process: true,
        }
    }

    /// In every process of httpd that serves connections, as long as it does.
    ///
    /// The interval is at least a millisecond.
    #[must_use]
    pub fn in_every_process(interval: Duration) -> Self {
        Self {
            interval,
            is_in_one_process: false,
        }
    }
}

/// A call of [`Plugin::on_tick`](crate::Plugin::on_tick), or that of an async plugin.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tick {
    /// The time for which the tick was due: a multiple of the interval since 1970. So the ticks of
    /// all processes and hosts have the same times.
    pub due: SystemTime,
    /// The topics of all virtual hosts: see [`Topics::host`].
    pub topics: Topics,
}

impl Tick {
    pub(crate) fn at(nanoseconds: u64, topics: Topics) -> Self {
        Self {
            due: UNIX_EPOCH + Duration::from_nanos(nanoseconds),
            topics,
        }
    }

    /// The time for which the tick was due, since the beginning of 1970.
    #[must_use]
    pub fn since_1970(&self) -> Duration {
        self.due.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
