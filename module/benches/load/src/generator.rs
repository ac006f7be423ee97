//! The event loop: one thread, one epoll, all connections.

use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::connection::{Connection, Traffic};
use crate::echo::Echo;
use crate::frames::{Stream, close_frame};
use crate::texts::Texts;
use crate::transport::Transport;

/// How much is read at once.
const READ_SIZE: usize = 256 * 1024;

/// How many connections one look at the system may report.
const EVENTS: usize = 64;

/// A server that echoes nothing for so long is taken for stuck.
const PATIENCE: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// In nanoseconds: a minute. Longer ones count as this.
const LONGEST_LATENCY: u64 = 60_000_000_000;

/// How many decimal digits of a latency count.
const DIGITS: u8 = 3;

/// Messages on one connection, which were echoed or are to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// The number of the connection, in the order of [`Generator::add`].
    pub connection: usize,
    /// How many.
    pub count: u64,
}

/// Sends messages and takes their echo.
pub struct Generator {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    outgoing: Stream,
    expected: Echo,
    buffer: Vec<u8>,
    events: Vec<Event>,
    in_flight: u64,
    latency: Histogram<u64>,
}

impl Generator {
    /// For these messages, up to `in_flight` at a time on a connection.
    ///
    /// # Errors
    /// The system has no epoll to give, or the messages cannot be compressed.
    pub fn new(texts: Texts, in_flight: usize) -> Result<Self> {
        let longest_frame = texts.size() + 14;
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            outgoing: texts.outgoing(in_flight * longest_frame)?,
            expected: Echo::new(texts, READ_SIZE),
            buffer: vec![0; READ_SIZE],
            events: Vec::with_capacity(EVENTS),
            in_flight: 0,
            latency: Histogram::new_with_bounds(1, LONGEST_LATENCY, DIGITS)?,
        })
    }

    /// Takes on a connection, on which nothing has been sent yet.
    ///
    /// # Errors
    /// The system cannot watch any more.
    pub fn add(&mut self, transport: Transport) -> Result<()> {
        let number = EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, &transport, number, EventFlags::IN)?;
        self.connections.push(Connection::new(transport));
        Ok(())
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The bytes of all frames so far, on all connections.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut sum = Traffic::default();
        for connection in &self.connections {
            let Traffic { sent, received } = connection.traffic();
            sum.sent += sent;
            sum.received += received;
        }
        sum
    }

    /// Sends messages.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, messages: Messages) -> Result<()> {
        self.send_at(messages, Instant::now())
    }

    /// Waits for echoes until `until`, and sends in return for each what `next` says.
    /// Gives the number of messages that came back.
    ///
    /// # Errors
    /// A connection is broken, an echo is wrong, or none comes for 10 seconds.
    pub fn run_until(
        &mut self,
        until: Instant,
        mut next: impl FnMut(Messages) -> Option<Messages>,
    ) -> Result<u64> {
        let mut echoed = 0;
        while Instant::now() < until {
            echoed += self.turn(&mut next)?;
        }
        Ok(echoed)
    }

    /// Waits until everything has come back, and sends in return for each echo what `next` says.
    ///
    /// # Errors
    /// As [`Generator::run_until`].
    pub fn run_to_end(&mut self, mut next: impl FnMut(Messages) -> Option<Messages>) -> Result<()> {
        while self.in_flight > 0 {
            self.turn(&mut next)?;
        }
        Ok(())
    }

    /// The time from sending a message to having its echo, in nanoseconds, of all messages since
    /// the last call.
    pub fn take_latency(&mut self) -> Histogram<u64> {
        let empty = Histogram::new_from(&self.latency);
        std::mem::replace(&mut self.latency, empty)
    }

    /// Closes all connections.
    ///
    /// # Errors
    /// One is broken.
    pub fn close(self) -> Result<()> {
        let close_frame = close_frame();
        self.connections
            .into_iter()
            .try_for_each(|connection| connection.close(&close_frame))
    }

    /// Serves the connections that are ready, waiting until one is. Gives the number of echoes.
    fn turn(&mut self, next: &mut impl FnMut(Messages) -> Option<Messages>) -> Result<u64> {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&PATIENCE))?;
        ensure!(
            !events.is_empty(),
            "nothing comes back, with {} messages outstanding",
            self.in_flight
        );
        let mut echoed = 0;
        for event in &events {
            let number = usize::try_from(event.data.u64())?;
            let (flags, in_turn) = (event.flags, &mut *next);
            echoed += self
                .serve(number, flags, in_turn)
                .with_context(|| format!("connection {number}"))?;
        }
        self.events = events;
        Ok(echoed)
    }

    fn serve(
        &mut self,
        number: usize,
        ready: EventFlags,
        next: &mut impl FnMut(Messages) -> Option<Messages>,
    ) -> Result<u64> {
        let connection = &mut self.connections[number];
        if ready.contains(EventFlags::OUT) {
            connection.write(&self.outgoing)?;
            if !connection.wants_to_write() {
                self.watch(number, EventFlags::IN)?;
            }
        }
        if ready == EventFlags::OUT {
            return Ok(0);
        }
        let connection = &mut self.connections[number];
        let echoed = connection.read(&mut self.buffer, &self.expected)?;
        if echoed == 0 {
            return Ok(0);
        }
        let now = Instant::now();
        connection.settle(echoed, |sent_at, messages| {
            let latency = u64::try_from(now.duration_since(sent_at).as_nanos());
            self.latency
                .saturating_record_n(latency.unwrap_or(u64::MAX), messages);
        });
        self.in_flight -= echoed;
        let messages = Messages {
            connection: number,
            count: echoed,
        };
        if let Some(messages) = next(messages) {
            self.send_at(messages, now)?;
        }
        Ok(echoed)
    }

    fn send_at(&mut self, messages: Messages, now: Instant) -> Result<()> {
        let Messages {
            connection: number,
            count,
        } = messages;
        let connection = &mut self.connections[number];
        let was_writing = connection.wants_to_write();
        connection.send(count, now, &self.outgoing)?;
        self.in_flight += count;
        if !was_writing && connection.wants_to_write() {
            self.watch(number, EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    fn watch(&self, number: usize, interest: EventFlags) -> Result<()> {
        let transport = self.connections[number].transport();
        let data = EventData::new_u64(number as u64);
        Ok(epoll::modify(&self.epoll, transport, data, interest)?)
    }
}
