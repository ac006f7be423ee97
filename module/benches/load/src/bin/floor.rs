//! The least an echo server can do: read, unmask, write back all that one read brought.
//!
//! One thread, one epoll, the kernel's socket buffers, and no checks at all: opcodes, masks,
//! lengths and UTF-8 are taken as they come, and the opening handshake is answered without a look
//! at it. It measures this machine and its kernel; it is not a server anybody should run.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use websocket_load::bare::{echo, opening_answer};
use websocket_load::peer::listen;

/// The number of the listening socket among the connections.
const LISTENER: u64 = 0;
/// How much is read at once, at least.
const READ_SIZE: usize = 64 * 1024;

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: HashMap<u64, Connection>,
    next: u64,
}

/// Reads and writes in turns, so that one buffer will do.
///
/// ```text
/// buffer: | written | echo to write | beginning of a frame | room
///                    ^ unwritten ^   ^ taken
/// ```
struct Connection {
    socket: TcpStream,
    is_open: bool,
    buffer: Vec<u8>,
    unwritten: Range<usize>,
    /// How much of the buffer has become an echo.
    taken: usize,
}

fn main() -> Result<()> {
    let mut floor = Floor {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        listener: listen()?,
        connections: HashMap::new(),
        next: LISTENER + 1,
    };
    let number = EventData::new_u64(LISTENER);
    epoll::add(&floor.epoll, &floor.listener, number, EventFlags::IN)?;
    let mut events: Vec<Event> = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&floor.epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            match event.data.u64() {
                LISTENER => floor.accept()?,
                number => floor.serve(number, event.flags)?,
            }
        }
    }
}

impl Floor {
    fn accept(&mut self) -> Result<()> {
        let (socket, _) = self.listener.accept()?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let number = EventData::new_u64(self.next);
        epoll::add(&self.epoll, &socket, number, EventFlags::IN)?;
        self.connections.insert(self.next, Connection::new(socket));
        self.next += 1;
        Ok(())
    }

    /// A connection that fails is gone when its socket is dropped.
    fn serve(&mut self, number: u64, ready: EventFlags) -> Result<()> {
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        let was_writing = connection.is_writing();
        let served = if ready.contains(EventFlags::OUT) {
            connection.write()
        } else {
            connection.read()
        };
        if served.is_err() {
            self.connections.remove(&number);
        } else if was_writing != connection.is_writing() {
            let interest = if was_writing {
                EventFlags::IN
            } else {
                EventFlags::OUT
            };
            let data = EventData::new_u64(number);
            epoll::modify(&self.epoll, &connection.socket, data, interest)?;
        }
        Ok(())
    }
}

impl Connection {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            is_open: false,
            buffer: Vec::new(),
            unwritten: 0..0,
            taken: 0,
        }
    }

    fn is_writing(&self) -> bool {
        !self.unwritten.is_empty()
    }

    fn read(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_SIZE);
        if rustix::io::read(&self.socket, spare_capacity(&mut self.buffer))? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if self.is_open {
            (self.unwritten, self.taken) = echo(&mut self.buffer);
        } else if self.buffer.ends_with(b"\r\n\r\n") {
            self.open();
        }
        self.write()
    }

    /// Clients wait for the 101 before they send frames.
    fn open(&mut self) {
        self.buffer = opening_answer(&self.buffer);
        self.is_open = true;
        self.unwritten = 0..self.buffer.len();
        self.taken = self.buffer.len();
    }

    fn write(&mut self) -> io::Result<()> {
        while self.is_writing() {
            match self.socket.write(&self.buffer[self.unwritten.clone()]) {
                Ok(n) => self.unwritten.start += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        Ok(())
    }
}
