//! Which multi-processing module, and how big.

use std::env;
use std::fmt::{self, Display};

use anyhow::{Result, anyhow};
use clap::ValueEnum;

/// The environment variable that restricts the tests to some MPMs: a comma-separated list.
pub const TEST_MPMS: &str = "WEBSOCKET_TEST_MPMS";

/// One of httpd's multi-processing modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mpm {
    /// Threads that idle connections do not occupy.
    Event,
    /// A thread per connection.
    Worker,
    /// A process per connection.
    Prefork,
}

impl Mpm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Event, Self::Worker, Self::Prefork];

    /// Those to test: all, or the ones `WEBSOCKET_TEST_MPMS` names.
    ///
    /// # Errors
    /// The variable holds an unknown name.
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

/// How many processes and threads serve requests.
#[derive(Clone, Copy, Debug)]
pub struct Sizing {
    /// Child processes at most; one is started, the others when the load asks for them.
    /// The prefork MPM runs `processes * threads` processes at most.
    pub processes: u32,
    /// Threads per child process.
    pub threads: u32,
}

impl Default for Sizing {
    /// Small, yet enough for some fifty connections when each takes a thread.
    fn default() -> Self {
        Self {
            processes: 4,
            threads: 16,
        }
    }
}

impl Sizing {
    /// The directives that set this up for `mpm`.
    ///
    /// `MaxSpareThreads` is the maximum: httpd takes threads for idle when their connections wait
    /// in the event loop, and would otherwise retire the processes that hold them.
    pub(super) fn directives(self, mpm: Mpm) -> String {
        let Self { processes, threads } = self;
        let workers = processes * threads;
        // Processes that finish their last connections after a graceful restart take slots too.
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
