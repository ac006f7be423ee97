//! One core for the servers, another one for the load generator.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Two cores of those this process may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
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
        Ok(Self { server, load })
    }

    /// Runs `start`; what it starts stays on the servers' core, its descendants included.
    ///
    /// # Errors
    /// Those of `start`, or the core cannot be had.
    pub(crate) fn on_servers<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        on_core(self.server, start)
    }

    /// Runs `start`; what it starts stays on the load generator's core.
    ///
    /// # Errors
    /// As [`Cores::on_servers`].
    pub(crate) fn on_loads<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        on_core(self.load, start)
    }
}

/// A process inherits the cores of the thread that starts it, so this thread moves there meanwhile.
fn on_core<T>(core: usize, start: impl FnOnce() -> Result<T>) -> Result<T> {
    let usual = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).with_context(|| format!("cannot run on core {core}"))?;
    let started = start();
    sched_setaffinity(None, &usual)?;
    started
}
