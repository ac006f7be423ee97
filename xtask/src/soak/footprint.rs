//! What httpd takes of the system while nothing is going on.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::httpd::{Httpd, Status, poll};
use crate::process::{descriptors, proportional_kib, threads};

/// How long the last connections, children and threads may take to end: two seconds until a client is
/// no longer waited for, five for a child, and ten for a thread.
const REST_WITHIN: Duration = Duration::from_secs(30);

/// How often to look, because the connection that asked for httpd's status may not be gone yet.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What the threads that run the event loops and callbacks are called.
const THREAD: &str = "websocket";

/// What httpd takes of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// How many children there are.
    pub children: usize,
    /// Of the child that has most.
    pub child: Share,
    /// Of the parent.
    pub parent: Share,
}

/// What one process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Open descriptors.
    pub descriptors: usize,
    /// Memory in KiB: what only the process uses, and its share of the rest.
    pub memory_kib: u64,
}

impl Footprint {
    /// Waits until the MPM's counters are back to zero, children that stop are gone, and no child has
    /// more than `threads` threads for WebSockets; then looks.
    ///
    /// # Errors
    /// That is not so within 30 seconds, or httpd ends.
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
        let shares = children.iter().map(|&pid| Share::of(pid));
        let shares = shares.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            children: children.len(),
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

    /// Ensures that nothing has grown since `earlier`, apart from `allowance_kib` of memory in a process.
    ///
    /// # Errors
    /// Something has, which is named.
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
                memory_kib: proportional_kib(pid)?,
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

/// Of the child that has most.
fn most_threads(httpd: &Httpd) -> Result<usize> {
    let children = httpd.child_pids()?;
    // One may have ended in between.
    let counts = children.iter().filter_map(|&pid| threads(pid, THREAD).ok());
    Ok(counts.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_named() {
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
