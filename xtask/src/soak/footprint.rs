//! The system resources that an idle httpd uses.

use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;

use crate::httpd::{Httpd, Status, poll};
use crate::process::{descriptors, own_kib, threads};

/// The longest time until the last connections, children and threads have ended. A client gets two
/// seconds, a child five and a thread ten.
const REST_WITHIN: Duration = Duration::from_secs(30);

/// The number of attempts. The connection that asks for httpd's status may not have ended yet.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The prefix of the names of the threads that run event loops and callbacks.
const THREAD: &str = "websocket";

/// The system resources that httpd uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The number of children.
    pub children: usize,
    /// The largest values of a child.
    pub child: Share,
    /// The values of the parent.
    pub parent: Share,
}

/// The system resources that one process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The number of open descriptors.
    pub descriptors: usize,
    /// The memory in KiB (PSS) without that of files and of shared memory segments: private pages,
    /// and a proportional share of those that other processes of the server have, too. The size of
    /// the segments is fixed at start, and a process gets the pages that it looks at.
    pub memory_kib: u64,
}

impl Footprint {
    /// Waits until the MPM's counters are zero, stopping children have ended, and no child has more
    /// than `threads` WebSocket threads. Then measures.
    ///
    /// # Errors
    /// This does not happen within 30 seconds, or httpd ends.
    pub fn at_rest(httpd: &Httpd, threads: usize) -> Result<Self> {
        let quiet = poll(REST_WITHIN, || {
            let is_quiet = httpd.status()? == Status::QUIET && most_threads(httpd)? <= threads;
            Ok(is_quiet.then_some(()))
        })?;
        if quiet.is_none() {
            let (status, threads) = (httpd.status()?, most_threads(httpd)?);
            bail!("httpd does not come to rest: {status:?}, {threads} threads");
        }
        let mut least = Self::now(httpd)?;
        for _ in 1..LOOKS {
            thread::sleep(BETWEEN_LOOKS);
            least = least.smaller(&Self::now(httpd)?);
        }
        Ok(least)
    }

    fn now(httpd: &Httpd) -> Result<Self> {
        let children = httpd.child_pids()?;
        let mut shares = Vec::new();
        for &pid in &children {
            match Share::of(pid) {
                Ok(share) => shares.push(share),
                // Its parent has yet to take note.
                Err(error) if has_ended(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            children: shares.len(),
            child: shares.into_iter().fold(Share::default(), Share::larger),
            parent: Share::of(httpd.pid())?,
        })
    }

    fn smaller(&self, other: &Self) -> Self {
        Self {
            children: self.children.min(other.children),
            child: self.child.smaller(other.child),
            parent: self.parent.smaller(other.parent),
        }
    }

    /// Checks that nothing has grown since `earlier`, except memory by up to `allowance_kib` per
    /// process.
    ///
    /// # Errors
    /// Something has grown. The error names it.
    pub fn ensure_flat_since(&self, earlier: &Self, allowance_kib: u64) -> Result<()> {
        let pairs = [
            ("a child", earlier.child, self.child),
            ("the parent", earlier.parent, self.parent),
        ];
        for (name, before, after) in pairs {
            ensure!(
                after.descriptors <= before.descriptors,
                "{name} had {} descriptors open and has {}",
                before.descriptors,
                after.descriptors
            );
            ensure!(
                after.memory_kib <= before.memory_kib + allowance_kib,
                "{name} took {} KiB and takes {}",
                before.memory_kib,
                after.memory_kib
            );
        }
        Ok(())
    }
}

impl Share {
    fn of(pid: u32) -> Result<Self> {
        let share = || -> Result<Self> {
            Ok(Self {
                descriptors: descriptors(pid)?,
                memory_kib: own_kib(pid)?,
            })
        };
        share().with_context(|| format!("process {pid}"))
    }

    fn smaller(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.min(other.descriptors),
            memory_kib: self.memory_kib.min(other.memory_kib),
        }
    }

    fn larger(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            memory_kib: self.memory_kib.max(other.memory_kib),
        }
    }
}

/// Whether a process could not be measured because it has ended.
fn has_ended(error: &anyhow::Error) -> bool {
    let error = error.root_cause().downcast_ref::<io::Error>();
    error.is_some_and(|error| {
        let is_zombie = error.raw_os_error() == Some(Errno::SRCH.raw_os_error());
        is_zombie || error.kind() == io::ErrorKind::NotFound
    })
}

/// The largest number of WebSocket threads in a child.
fn most_threads(httpd: &Httpd) -> Result<usize> {
    let children = httpd.child_pids()?;
    // A child may have ended meanwhile.
    let counts = children.iter().filter_map(|&pid| threads(pid, THREAD).ok());
    Ok(counts.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_what_has_grown() {
        let share = |descriptors, memory_kib| Share {
            descriptors,
            memory_kib,
        };
        let before = Footprint {
            children: 1,
            child: share(10, 5000),
            parent: share(8, 3000),
        };
        let complaint = |child, parent| {
            let after = Footprint {
                child,
                parent,
                ..before
            };
            let result = after.ensure_flat_since(&before, 100);
            result.err().map(|error| error.to_string())
        };
        assert_eq!(complaint(share(10, 5100), share(7, 3000)), None);
        for (child, parent, expected) in [
            (
                share(11, 5000),
                share(8, 3000),
                "a child had 10 descriptors open and has 11",
            ),
            (
                share(10, 5101),
                share(8, 3000),
                "a child took 5000 KiB and takes 5101",
            ),
            (
                share(10, 5000),
                share(8, 3101),
                "the parent took 3000 KiB and takes 3101",
            ),
        ] {
            assert_eq!(complaint(child, parent).as_deref(), Some(expected));
        }
    }
}
