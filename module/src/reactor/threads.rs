//! How many threads a child may have for its connections.

use std::thread;

/// How many threads there may be: at least, one for each loop, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// The number of loops.
    pub min: usize,
    /// The most threads, those of the loops included.
    pub max: usize,
}

impl Threads {
    /// As many loops as cores; and threads for callbacks that block, four times as many as the MPM
    /// has for requests in this child, but at least 64.
    #[must_use]
    pub fn default_for(threads_per_child: usize) -> Self {
        let min = thread::available_parallelism().map_or(1, usize::from);
        Self {
            min,
            max: (threads_per_child * 4).max(64).max(min + 1),
        }
    }
}
