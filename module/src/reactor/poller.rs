//! Waits for a loop's connections, its alarm and interrupts.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::alarm::Alarm;

/// The token of the descriptor that interrupts a wait.
const INTERRUPT: u64 = u64::MAX;

/// The token of the alarm.
const ALARM: u64 = u64::MAX - 1;

/// An epoll instance, and a descriptor that interrupts its waits.
pub(super) struct Poller {
    epoll: OwnedFd,
    interrupter: OwnedFd,
}

/// The source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The connection with this token.
    Connection(usize),
    Alarm,
    Interrupt,
}

impl Source {
    pub(super) fn of(event: &epoll::Event) -> Self {
        match event.data.u64() {
            ALARM => Self::Alarm,
            token => usize::try_from(token)
                .ok()
                .filter(|_| token != INTERRUPT)
                .map_or(Self::Interrupt, Self::Connection),
        }
    }
}

impl Poller {
    /// A poller that waits for `alarm` and for interrupts.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub(super) fn new(alarm: &Alarm) -> io::Result<Self> {
        let poller = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            interrupter: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        };
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        poller.add(&poller.interrupter, INTERRUPT, flags)?;
        poller.add(alarm, ALARM, flags)?;
        Ok(poller)
    }

    /// Waits until something happens, for `timeout` at most. `None` means without limit. Replaces
    /// what is in `events` by the new events, at most as many as its capacity.
    pub(super) fn wait(&self, events: &mut Vec<epoll::Event>, timeout: Option<&Timespec>) {
        events.clear();
        let room = rustix::buffer::spare_capacity(events);
        // A wait that a signal interrupts finds nothing, and the loop waits again.
        let _ = epoll::wait(&self.epoll, room, timeout);
    }

    /// Ends the current wait, or the next one.
    pub(super) fn interrupt(&self) {
        // The write fails only after about 2^64 interrupts.
        let _ = rustix::io::write(&self.interrupter, &1u64.to_ne_bytes());
    }

    /// Adds a connection. Every change of its state makes one event (edge-triggered).
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(super) fn register(&self, connection: impl AsFd, token: usize) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        self.add(connection, token as u64, flags)
    }

    /// Removes a connection.
    pub(super) fn remove(&self, connection: impl AsFd) {
        // This fails for a connection that could not be registered.
        let _ = epoll::delete(&self.epoll, connection);
    }

    fn add(&self, source: impl AsFd, token: u64, flags: epoll::EventFlags) -> io::Result<()> {
        epoll::add(&self.epoll, source, epoll::EventData::new_u64(token), flags)?;
        Ok(())
    }
}
