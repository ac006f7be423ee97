//! All clients, one of which speaks.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::frames::{close_frame, masked, unmasked};
use crate::opening::Opener;
use crate::shape::Shape;
use crate::transport::Transport;

/// How much is read at once.
const READ_SIZE: usize = 64 * 1024;

/// How many clients one look at the system may report.
const EVENTS: usize = 1024;

/// The client that speaks.
const SPEAKER: usize = 0;

/// How long to sleep before looking what else has come. If this waited for events instead, the
/// server would have to wake it again and again, message by message, and the cost of that, which
/// depends on who is faster, would be part of the measurement.
const PAUSE: Duration = Duration::from_micros(50);

const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// A server that sends nothing for so long is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many digits of a message's number are in it, if it is that long.
const DIGITS: usize = 12;

/// In nanoseconds: a minute. Longer rounds count as this.
const LONGEST_ROUND: u64 = 60_000_000_000;

/// How many decimal digits of a round's time count.
const TIME_DIGITS: u8 = 3;

struct Client {
    transport: Transport,
    /// How much of the round it has received.
    received: usize,
}

/// The messages of a round, which are sent together.
struct Round {
    /// As the speaker sends them.
    outgoing: Vec<u8>,
    /// As the clients of each group are to receive them.
    expected: Vec<Vec<u8>>,
}

pub(super) struct Crowd {
    epoll: OwnedFd,
    clients: Vec<Client>,
    shape: Shape,
    /// A message goes to the clients whose number differs from its own by a multiple of this.
    groups: usize,
    /// Numbers the messages.
    sent: u64,
    /// Nanoseconds that rounds took.
    times: Histogram<u64>,
    events: Vec<Event>,
    buffer: Vec<u8>,
}

impl Crowd {
    /// Opens the connections, in turn at each of the servers. The first one speaks.
    pub(super) fn open(openers: &mut [Opener], shape: Shape, groups: usize) -> Result<Self> {
        ensure!(
            groups > 0 && shape.connections.is_multiple_of(groups),
            "all groups have as many clients"
        );
        let servers = openers.len();
        // Or every pause would take 50 µs more. Without it the measurement is only less exact.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut clients = Vec::with_capacity(shape.connections);
        for number in 0..shape.connections {
            let transport = openers[number % servers]
                .open()
                .with_context(|| format!("connection {} of {}", number + 1, shape.connections))?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &transport, data, EventFlags::IN)?;
            clients.push(Client {
                transport,
                received: 0,
            });
        }
        Ok(Self {
            epoll,
            clients,
            shape,
            groups,
            sent: 0,
            times: Histogram::new_with_bounds(1, LONGEST_ROUND, TIME_DIGITS)?,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ_SIZE],
        })
    }

    /// Speaks for so long. Gives how many messages were received, each counted for every client
    /// that gets it.
    pub(super) fn run(&mut self, duration: Duration) -> Result<u64> {
        let end = Instant::now() + duration;
        let first = self.sent;
        loop {
            let round = Round::new(self.sent, self.shape, self.groups);
            self.sent += self.shape.in_flight as u64;
            let start = Instant::now();
            self.take_round(&round)?;
            let now = Instant::now();
            let time = u64::try_from((now - start).as_nanos()).unwrap_or(u64::MAX);
            self.times.saturating_record(time);
            if now >= end {
                return Ok((self.sent - first) * (self.clients.len() / self.groups) as u64);
            }
        }
    }

    /// The nanoseconds that the rounds took since the last call.
    pub(super) fn take_times(&mut self) -> Histogram<u64> {
        let empty = Histogram::new_from(&self.times);
        std::mem::replace(&mut self.times, empty)
    }

    /// Closes all connections. Nothing more may have come.
    pub(super) fn close(mut self) -> Result<()> {
        for client in &mut self.clients {
            client.received = 0;
            client.read(&mut self.buffer, &[])?;
        }
        let close_frame = close_frame();
        for client in &mut self.clients {
            client.transport.write(&close_frame)?;
        }
        Ok(())
    }

    /// Sends a round, and waits until every client has received what is for it.
    fn take_round(&mut self, round: &Round) -> Result<()> {
        for client in &mut self.clients {
            client.received = 0;
        }
        let mut outgoing = &round.outgoing[..];
        let of_groups: usize = round.expected.iter().map(Vec::len).sum();
        let mut missing = of_groups * (self.clients.len() / self.groups);
        let mut last_progress = Instant::now();
        while missing > 0 {
            if !outgoing.is_empty() {
                let taken = self.clients[SPEAKER].transport.write(outgoing)?;
                outgoing = &outgoing[taken..];
            }
            thread::sleep(PAUSE);
            let received = self.turn(round)?;
            missing -= received;
            let now = Instant::now();
            if received > 0 {
                last_progress = now;
            }
            ensure!(
                now - last_progress < PATIENCE,
                "nothing comes, with {missing} bytes missing"
            );
        }
        Ok(())
    }

    /// Reads from all that have something. Gives how much that was.
    fn turn(&mut self, round: &Round) -> Result<usize> {
        let mut received = 0;
        loop {
            self.events.clear();
            let events = spare_capacity(&mut self.events);
            epoll::wait(&self.epoll, events, Some(&AT_ONCE))?;
            for event in &self.events {
                let number = usize::try_from(event.data.u64())?;
                received += self.clients[number]
                    .read(&mut self.buffer, &round.expected[number % self.groups])
                    .with_context(|| format!("connection {number}"))?;
            }
            if self.events.len() < self.events.capacity() {
                return Ok(received);
            }
        }
    }
}

impl Client {
    /// Reads what there is and compares it. Gives how much that was.
    fn read(&mut self, buffer: &mut [u8], all: &[u8]) -> Result<usize> {
        let mut total = 0;
        while let Some(read) = self.transport.read(buffer)? {
            let expected = &all[self.received..];
            ensure!(
                expected.starts_with(&buffer[..read]),
                "a message is wrong, or came twice"
            );
            self.received += read;
            total += read;
            // Over TLS there can be more that the system does not know of.
            if read < buffer.len() && matches!(self.transport, Transport::Plain(_)) {
                break;
            }
        }
        Ok(total)
    }
}

impl Round {
    /// The messages from number `first` on.
    fn new(first: u64, shape: Shape, groups: usize) -> Self {
        let mut round = Self {
            outgoing: Vec::new(),
            expected: vec![Vec::new(); groups],
        };
        for number in (first..).take(shape.in_flight) {
            let text = text(number, shape.size);
            round.outgoing.extend(masked(&text, false));
            // Less than the number of groups, which is a usize.
            let group = usize::try_from(number % groups as u64).unwrap_or_default();
            round.expected[group].extend(unmasked(&text, false));
        }
        round
    }
}

/// The number of the message, and something behind it that fills up the size.
fn text(number: u64, size: usize) -> Vec<u8> {
    let mut text = format!("{number:0DIGITS$}").into_bytes();
    // Short ones keep the digits that change most.
    text.drain(..text.len().saturating_sub(size));
    text.resize(size, b'.');
    text
}

#[cfg(test)]
mod tests {
    use super::{Round, text};
    use crate::shape::Shape;

    #[test]
    fn texts_have_their_size_and_differ_from_the_next() {
        for size in [1, 2, 12, 64, 1024] {
            for number in [0, 9, 99, 123_456_789] {
                let this = text(number, size);
                assert_eq!(this.len(), size);
                assert_ne!(this, text(number + 1, size), "{number}, {size} bytes");
            }
        }
    }

    #[test]
    fn a_round_has_the_next_messages() {
        let shape = Shape {
            connections: 3,
            size: 14,
            in_flight: 2,
        };
        let round = Round::new(7, shape, 1);
        let [expected] = &round.expected[..] else {
            panic!("one group");
        };
        assert_eq!(expected, b"\x81\x0e000000000007..\x81\x0e000000000008..");
        assert_eq!(round.outgoing.len(), expected.len() + 2 * 4);
        let round = Round::new(7, shape, 3);
        assert_eq!(
            round.expected,
            [
                &b""[..],
                b"\x81\x0e000000000007..",
                b"\x81\x0e000000000008.."
            ]
        );
    }
}
