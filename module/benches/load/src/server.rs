//! What the processes of the server under test take.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// A server: a process and those it has started.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    pid: i32,
}

/// The processes of a server at one moment.
#[derive(Debug)]
pub struct Processes {
    pids: Vec<i32>,
}

/// CPU time so far.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime {
    server: Duration,
    own: Duration,
}

impl Server {
    /// The server whose first process has this number.
    #[must_use]
    pub fn new(pid: i32) -> Self {
        Self { pid }
    }

    /// Its processes: the first one and its children.
    ///
    /// # Errors
    /// The system's list of processes cannot be read.
    pub fn processes(self) -> Result<Processes> {
        let mut pids = vec![self.pid];
        for entry in fs::read_dir("/proc").context("cannot list the processes")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else {
                continue;
            };
            // The process may be gone by now.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                continue;
            };
            if parent(&stat) == Some(self.pid) {
                pids.push(pid);
            }
        }
        Ok(Processes { pids })
    }
}

impl Processes {
    /// User and system time of all threads, those that have ended included, of the server and of
    /// this process.
    ///
    /// # Errors
    /// One of the processes has ended.
    pub fn cpu_time(&self) -> Result<CpuTime> {
        let times = self.pids.iter().map(|&pid| -> Result<Duration> {
            let clock = clock_getcpuclockid(Pid::from_raw(pid));
            let clock = clock.with_context(|| format!("the server's process {pid} has ended"))?;
            Ok(clock.now()?.into())
        });
        Ok(CpuTime {
            server: times.sum::<Result<_>>()?,
            own: ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into(),
        })
    }

    /// The most threads that one of the processes has.
    #[must_use]
    pub fn most_threads(&self) -> usize {
        let threads = |pid: &i32| fs::read_dir(format!("/proc/{pid}/task")).map(Iterator::count);
        // A process may be gone by now.
        let counts = self.pids.iter().filter_map(|pid| threads(pid).ok());
        counts.max().unwrap_or(0)
    }

    /// Memory in bytes: what only the server's processes use, and their share of the rest.
    ///
    /// # Errors
    /// A process has ended or belongs to somebody else.
    pub fn proportional_set_size(&self) -> Result<u64> {
        let sizes = self.pids.iter().map(|pid| {
            let file = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
            pss(&text).with_context(|| format!("no Pss in {file}"))
        });
        sizes.sum()
    }
}

impl CpuTime {
    /// Of the server.
    #[must_use]
    pub fn server(self) -> Duration {
        self.server
    }

    /// Of the load generator.
    #[must_use]
    pub fn own(self) -> Duration {
        self.own
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            own: self.own.saturating_sub(earlier.own),
        }
    }
}

/// The parent's number in a line of `/proc/PID/stat`: the second field after the program's name,
/// which is in parentheses and may contain any character.
fn parent(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

fn pss(smaps_rollup: &str) -> Option<u64> {
    let line = smaps_rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pss_is_not_one_of_its_kinds() {
        let text =
            "0-1 ---p 0 00:00 0 [rollup]\nRss: 1672 kB\nPss:       411 kB\nPss_Dirty: 112 kB\n";
        assert_eq!(pss(text), Some(411 * 1024));
    }

    #[test]
    fn the_parent_is_found_behind_any_program_name() {
        for (stat, expected) in [
            ("17 (apache2) S 16 17 17 0", Some(16)),
            ("17 (a) b ) 3) R 1 17 17 0", Some(1)),
            ("17", None),
        ] {
            assert_eq!(parent(stat), expected, "{stat}");
        }
    }

    #[test]
    fn time_spent_is_seen() {
        let this = Server::new(rustix::process::getpid().as_raw_nonzero().get());
        let this = this.processes().unwrap();
        let before = this.cpu_time().unwrap();
        while (this.cpu_time().unwrap() - before).own() < Duration::from_millis(2) {}
        assert!((this.cpu_time().unwrap() - before).server() >= Duration::from_millis(2));
        assert!(this.proportional_set_size().unwrap() > 0);
    }
}
