//! The multi-processing module, and its size.

use std::env;
use std::fmt::{self, Display};

use anyhow::{Result, anyhow};
use clap::ValueEnum;

/// The environment variable that selects the MPMs for the tests, as a comma-separated list.
pub const TEST_MPMS: &str = "WEBSOCKET_TEST_MPMS";

/// One of httpd's multi-processing modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mpm {
    /// Idle connections hold no thread.
    Event,
    /// One thread per connection.
    Worker,
    /// One process per connection.
    Prefork,
}

impl Mpm {
    /// All MPMs.
    pub const ALL: [Self; 3] = [Self::Event, Self::Worker, Self::Prefork];

    /// The MPMs to test: all, or those in `WEBSOCKET_TEST_MPMS`.
    ///
    /// # Errors
    /// The variable contains an unknown name.
    pub fn under_test() -> Result<Vec<Self>> {
        env::var(TEST_MPMS).map_or_else(|_| Ok(Self::ALL.to_vec()), |names| parse_list(&names))
    }

    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Worker => "worker",
            Self::Prefork => "prefork",
        }
    }
}

impl Display for Mpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn parse_list(names: &str) -> Result<Vec<Mpm>> {
    let parse = |name: &str| Mpm::from_str(name.trim(), false);
    let mpms = names.split(',').map(parse).collect::<Result<_, _>>();
    mpms.map_err(|error| anyhow!("{TEST_MPMS}={names}: {error}: event, worker or prefork"))
}

/// The numbers of processes and threads that serve requests.
#[derive(Clone, Copy, Debug)]
pub struct Sizing {
    /// The largest number of child processes. One is started, and the others under load. The
    /// prefork MPM runs at most `processes * threads` processes.
    pub processes: u32,
    /// Threads per child process.
    pub threads: u32,
}

impl Default for Sizing {
    /// A small size that suffices for some fifty connections with one thread each.
    fn default() -> Self {
        Self {
            processes: 4,
            threads: 16,
        }
    }
}

impl Sizing {
    /// The directives that set this size for `mpm`.
    ///
    /// `MaxSpareThreads` is at its maximum. httpd considers threads idle if their connections wait
    /// in the event loop, and would otherwise end the processes that hold these connections.
    pub(super) fn directives(self, mpm: Mpm) -> String {
        let Self { processes, threads } = self;
        let workers = processes * threads;
        // Processes that finish their last connections after a graceful restart also need slots.
        let retiring = 8;
        if mpm == Mpm::Prefork {
            return format!(
                "StartServers 2\n\
                 MinSpareServers 1\n\
                 MaxSpareServers {workers}\n\
                 ServerLimit {}\n\
                 MaxRequestWorkers {workers}\n",
                workers + retiring
            );
        }
        let mut directives = format!(
            "StartServers 1\n\
             ServerLimit {}\n\
             ThreadLimit {threads}\n\
             ThreadsPerChild {threads}\n\
             MaxRequestWorkers {workers}\n\
             MinSpareThreads 1\n\
             MaxSpareThreads {workers}\n",
            processes + retiring
        );
        if mpm == Mpm::Event {
            directives.push_str("AsyncRequestWorkerFactor 1000\n");
        }
        directives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_mpms_to_test() {
        assert_eq!(parse_list("worker").unwrap(), [Mpm::Worker]);
        assert_eq!(
            parse_list("event, prefork").unwrap(),
            [Mpm::Event, Mpm::Prefork]
        );
        let error = parse_list("event,threads").unwrap_err().to_string();
        assert!(error.contains("threads"), "{error}");
    }
}
