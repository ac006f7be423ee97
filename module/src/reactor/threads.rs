//! How many threads a child process may have for its WebSockets.

use std::thread;

/// How many threads there are at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// The number of loops, each of which has a thread.
    pub min: usize,
    /// The most threads, including those of the loops.
    pub max: usize,
}

impl Threads {
    /// One loop for each core. The limit leaves threads for callbacks that block: it is four times
    /// the threads that the MPM has for requests in this child process, at least 64, and more than
    /// the loops.
    #[must_use]
    pub fn default_for(threads_per_child: usize) -> Self {
        let min = thread::available_parallelism().map_or(1, usize::from);
        Self {
            min,
            max: (threads_per_child * 4).max(64).max(min + 1),
        }
    }
}
