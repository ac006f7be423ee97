//! The memory of one thread of the pool.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{ClockId, clock_gettime};

use crate::output::Output;

/// The most events taken with one system call.
const BATCH: usize = 256;

/// The most bytes of one read: four frames of 32 KiB with their headers, or two of 64 KiB.
const BUFFER_SIZE: usize = 128 * 1024 + 256;

/// The memory of one thread of the pool.
pub(super) struct Scratch {
    pub(super) buffer: Vec<u8>,
    pub(super) events: Vec<epoll::Event>,
    pub(super) outputs: Vec<Arc<Output>>,
    /// Since when something that the last pass left may wait to be written.
    pub(super) held_since: Option<Instant>,
    /// The kernel's statistics of this thread (proc_pid_schedstat), if it has them.
    statistics: io::Result<File>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER_SIZE],
            events: Vec::with_capacity(BATCH),
            outputs: Vec::new(),
            held_since: None,
            statistics: File::open("/proc/thread-self/schedstat"),
        }
    }
}

impl Scratch {
    /// How long this thread has run or waited for a processor so far.
    pub(super) fn unblocked(&self) -> Duration {
        let worked = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(worked).unwrap_or_default() + self.delayed().unwrap_or_default()
    }

    /// How long this thread has waited for a processor: the file's second number, in nanoseconds.
    fn delayed(&self) -> Option<Duration> {
        let mut text = [0; 64];
        let length = self.statistics.as_ref().ok()?.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..length)?).ok()?;
        let number = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(Duration::from_nanos(number))
    }
}
