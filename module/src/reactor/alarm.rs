//! Wakes a loop for its next timer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// A descriptor that becomes readable at the moment it is set to.
///
/// It is set only if it would ring too late: busy connections put their timers off all the time.
pub(super) struct Alarm {
    descriptor: OwnedFd,
    at: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self {
            descriptor: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            at: None,
        })
    }

    /// It has become readable.
    pub(super) fn has_rung(&mut self) {
        self.at = None;
    }

    /// Rings at `due`, if there is one, or before. It is `now` or later.
    pub(super) fn ring_at(&mut self, due: Option<Instant>, now: Instant) {
        let Some(due) = due.filter(|due| self.at.is_none_or(|at| *due < at)) else {
            return;
        };
        // Zero would stop it.
        let left = due
            .saturating_duration_since(now)
            .max(Duration::from_nanos(1));
        let time = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(left).unwrap_or_default(),
        };
        // It fails only for times that are none.
        let _ = timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &time);
        self.at = Some(due);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
