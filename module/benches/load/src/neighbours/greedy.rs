//! Clients that send all the server takes.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::{Kind, Load};
use crate::frames::{masked, masked_ping};
use crate::opening::Opener;
use crate::transport::Transport;

/// How much is sent at a time, of short frames.
const BLOCK: usize = 256 * 1024;

/// The bytes of a large message.
const LARGE: usize = 16_000_000;

/// How much is read at once.
const READ_SIZE: usize = 256 * 1024;

/// How often to see whether it is over.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// The threads of the load give way to that of the quiet clients, which measures.
const NICENESS: i32 = 10;

struct Client {
    transport: Transport,
    /// How much of the block has been sent.
    position: usize,
}

/// All greedy clients.
pub(super) struct Greedy {
    epoll: OwnedFd,
    clients: Vec<Client>,
    /// Whole frames, which are sent again and again.
    block: Vec<u8>,
}

impl Greedy {
    pub(super) fn open(opener: &mut Opener, load: Load) -> Result<Self> {
        let frame = match load.kind {
            Kind::Idle | Kind::Messages => masked(b"x", false),
            Kind::Pings | Kind::UnreadPings => masked_ping(),
            Kind::Uploads => masked(&vec![b'x'; LARGE], false),
        };
        let interest = match load.kind {
            Kind::Idle => EventFlags::IN,
            Kind::UnreadPings => EventFlags::OUT,
            _ => EventFlags::IN | EventFlags::OUT,
        };
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut clients = Vec::new();
        for number in 0..load.clients {
            let transport = opener.open()?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &transport, data, interest)?;
            clients.push(Client {
                transport,
                position: 0,
            });
        }
        let frames = (BLOCK / frame.len()).max(1);
        Ok(Self {
            epoll,
            clients,
            block: frame.repeat(frames),
        })
    }

    /// Sends until it is over. Gives how many bytes that were in each second.
    pub(super) fn run(mut self, is_over: &AtomicBool) -> Result<f64> {
        // Without it the measurement is only less exact.
        let _ = rustix::process::nice(NICENESS);
        let started = Instant::now();
        let mut sent = 0;
        let mut buffer = vec![0; READ_SIZE];
        let mut events: Vec<Event> = Vec::with_capacity(64);
        while !is_over.load(Ordering::Relaxed) {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&TICK))?;
            for event in events.drain(..) {
                let client = &mut self.clients[usize::try_from(event.data.u64())?];
                let flags = event.flags;
                if flags.contains(EventFlags::IN) {
                    client.transport.read(&mut buffer)?;
                }
                if flags.contains(EventFlags::OUT) {
                    sent += client.send(&self.block)?;
                }
            }
        }
        Ok(sent as f64 / started.elapsed().as_secs_f64())
    }
}

impl Client {
    fn send(&mut self, block: &[u8]) -> Result<usize> {
        let rest = &block[self.position..];
        let taken = self.transport.write(&rest[..rest.len().min(BLOCK)])?;
        self.position = (self.position + taken) % block.len();
        Ok(taken)
    }
}
