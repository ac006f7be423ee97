//! One core for the servers, another one for the load generator.

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores this process may use, and two of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
    allowed: CpuSet,
}

impl Cores {
    /// # Errors
    /// There is only one.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (server, load) = cores
            .next()
            .zip(cores.next())
            .context("measuring takes two cores: one for the server, one for the load")?;
        Ok(Self {
            server,
            load,
            allowed,
        })
    }

    /// Runs `start`; what it starts stays on the servers' core, its descendants included.
    ///
    /// # Errors
    /// Those of `start`, or the core cannot be had.
    pub(crate) fn on_servers<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        on_cores(&set([self.server]), start)
    }

    /// As [`Cores::on_servers`], with `count` cores. The load generator's is among them if the
    /// others do not suffice.
    ///
    /// # Errors
    /// There are not so many, and those of `start`.
    pub(crate) fn on_several<T>(
        self,
        count: usize,
        start: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let others =
            (0..CpuSet::MAX_CPU).filter(|&core| self.allowed.is_set(core) && core != self.load);
        let cores: Vec<_> = others.chain([self.load]).take(count).collect();
        ensure!(cores.len() == count, "{count} loops take as many cores");
        on_cores(&set(cores), start)
    }

    /// Runs `start`; what it starts stays on the load generator's core.
    ///
    /// # Errors
    /// As [`Cores::on_servers`].
    pub(crate) fn on_loads<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        on_cores(&set([self.load]), start)
    }
}

fn set(cores: impl IntoIterator<Item = usize>) -> CpuSet {
    let mut set = CpuSet::new();
    cores.into_iter().for_each(|core| set.set(core));
    set
}

/// A process inherits the cores of the thread that starts it, so this thread moves there meanwhile.
fn on_cores<T>(cores: &CpuSet, start: impl FnOnce() -> Result<T>) -> Result<T> {
    let usual = sched_getaffinity(None)?;
    sched_setaffinity(None, cores).context("cannot run on the cores chosen")?;
    let started = start();
    sched_setaffinity(None, &usual)?;
    started
}
