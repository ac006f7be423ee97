//! What the system allows a process.

use anyhow::{Context, Result};
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};

/// Allows as many open sockets as this user may have.
///
/// # Errors
/// The system refuses its own maximum.
pub fn raise_descriptor_limit() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}

/// Has the system end this process when the one that started it ends, however that comes about.
///
/// # Errors
/// The system refuses.
pub fn end_with_parent() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot follow the parent's end")
}
