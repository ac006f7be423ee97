//! Wakes a loop for its next timer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// A descriptor that becomes readable at the time that was set.
///
/// The time is set only if the alarm would ring too late, because busy connections put their timers
/// off all the time.
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

    /// Notes that the descriptor has become readable.
    pub(super) fn has_rung(&mut self) {
        self.at = None;
    }

    /// Makes the alarm ring at `due` or earlier, if there is a `due`. `now` is the current time.
    pub(super) fn ring_at(&mut self, due: Option<Instant>, now: Instant) {
        let Some(due) = due.filter(|due| self.at.is_none_or(|at| *due < at)) else {
            return;
        };
        // Zero would disarm the timer.
        let left = due
            .saturating_duration_since(now)
            .max(Duration::from_nanos(1));
        let time = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(left).unwrap_or_default(),
        };
        // This fails only for invalid times.
        let _ = timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &time);
        self.at = Some(due);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
