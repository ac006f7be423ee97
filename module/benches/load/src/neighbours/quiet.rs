//! Clients that send a little.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::frames::{masked, unmasked};
use crate::opening::Opener;
use crate::transport::Transport;

/// How many there are.
const CLIENTS: u32 = 20;

/// How often each sends a message.
const INTERVAL: Duration = Duration::from_millis(5);

const MESSAGE: &[u8] = b"a message of a quiet neighbour";

/// In nanoseconds: a minute. Longer delays count as this.
const LONGEST: u64 = 60_000_000_000;

/// How many decimal digits of a delay count.
const DIGITS: u8 = 3;

/// A connection, and when each echo that is still to come became due.
struct Client {
    transport: Transport,
    next: Instant,
    due: VecDeque<Instant>,
    /// So many bytes of the next echo have come.
    received: usize,
}

/// All quiet clients.
pub(super) struct Quiet {
    epoll: OwnedFd,
    clients: Vec<Client>,
    message: Vec<u8>,
    echo: Vec<u8>,
}

impl Quiet {
    pub(super) fn open(opener: &mut Opener) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let transport = opener.open()?;
            transport.socket().set_nodelay(true)?;
            let data = EventData::new_u64(number.into());
            epoll::add(&epoll, &transport, data, EventFlags::IN)?;
            clients.push(Client {
                transport,
                // They do not all send at once.
                next: Instant::now() + INTERVAL * number / CLIENTS,
                due: VecDeque::new(),
                received: 0,
            });
        }
        Ok(Self {
            epoll,
            clients,
            message: masked(MESSAGE, false),
            echo: unmasked(MESSAGE, false),
        })
    }

    /// Sends for so long. Gives how long echoes took from when their message was due; those that
    /// are missing at the end count with what they have taken so far.
    pub(super) fn run(&mut self, duration: Duration) -> Result<Histogram<u64>> {
        let end = Instant::now() + duration;
        let mut delays = Histogram::new_with_bounds(1, LONGEST, DIGITS)?;
        let mut events = Vec::with_capacity(self.clients.len());
        while Instant::now() < end {
            self.send()?;
            self.wait(&mut events)?;
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64())?;
                self.clients[number].read(&self.echo, &mut delays)?;
            }
        }
        let now = Instant::now();
        for due in self.clients.iter().flat_map(|client| &client.due) {
            record(&mut delays, now - *due);
        }
        Ok(delays)
    }

    fn send(&mut self) -> Result<()> {
        let now = Instant::now();
        for client in &mut self.clients {
            while client.next <= now {
                let taken = client.transport.write(&self.message)?;
                ensure!(
                    taken == self.message.len(),
                    "a socket takes no short message"
                );
                client.due.push_back(client.next);
                client.next += INTERVAL;
            }
        }
        Ok(())
    }

    fn wait(&self, events: &mut Vec<Event>) -> Result<()> {
        let next = self.clients.iter().map(|client| client.next).min();
        let left = next.map(|next| next.saturating_duration_since(Instant::now()));
        let timeout = left.map(Timespec::try_from).transpose()?;
        epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref())?;
        Ok(())
    }
}

impl Client {
    fn read(&mut self, echo: &[u8], delays: &mut Histogram<u64>) -> Result<()> {
        let mut buffer = [0; 4096];
        let Some(read) = self.transport.read(&mut buffer)? else {
            return Ok(());
        };
        let now = Instant::now();
        for byte in &buffer[..read] {
            ensure!(*byte == echo[self.received], "a wrong echo");
            self.received += 1;
            if self.received == echo.len() {
                self.received = 0;
                let due = self.due.pop_front();
                ensure!(due.is_some(), "an echo of nothing");
                due.into_iter().for_each(|due| record(delays, now - due));
            }
        }
        Ok(())
    }
}

fn record(delays: &mut Histogram<u64>, delay: Duration) {
    delays.saturating_record(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
}
