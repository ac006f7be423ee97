//! The least a server can do that sends every message to all: read, unmask, and write what one read
//! brought to each socket in one piece.
//!
//! As `floor`, it is one thread with one epoll and no checks, but for close frames, which are not
//! for all. A client that takes no more keeps what waits for it in memory, however much that is.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use websocket_load::bare::{echo, opening_answer};
use websocket_load::frames::FIN_CLOSE;
use websocket_load::peer::listen;

/// The number of the listening socket among the connections.
const LISTENER: u64 = 0;
/// How much is read at once, at least.
const READ_SIZE: usize = 64 * 1024;

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    /// Connections whose clients take no more, and those that had to be given up.
    clogged: Vec<u64>,
    broken: Vec<u64>,
}

struct Connection {
    socket: TcpStream,
    is_open: bool,
    /// What was read: whole frames are taken out at once.
    input: Vec<u8>,
    unwritten: Vec<u8>,
}

fn main() -> Result<()> {
    let mut floor = Floor {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        listener: listen()?,
        connections: BTreeMap::new(),
        next: LISTENER + 1,
        clogged: Vec::new(),
        broken: Vec::new(),
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
        if ready.contains(EventFlags::OUT) {
            if connection.go_on().is_err() {
                self.connections.remove(&number);
            } else if connection.unwritten.is_empty() {
                self.watch(number, EventFlags::IN)?;
            }
            return Ok(());
        }
        match connection.read() {
            Ok(Some(frames)) => self.tell(&frames),
            Ok(None) => Ok(()),
            Err(_) => {
                self.connections.remove(&number);
                Ok(())
            }
        }
    }

    fn tell(&mut self, frames: &[u8]) -> Result<()> {
        for (&number, connection) in &mut self.connections {
            match connection.tell(frames) {
                Ok(true) => {}
                Ok(false) => self.clogged.push(number),
                Err(_) => self.broken.push(number),
            }
        }
        for number in std::mem::take(&mut self.clogged) {
            self.watch(number, EventFlags::IN | EventFlags::OUT)?;
        }
        for number in self.broken.drain(..) {
            self.connections.remove(&number);
        }
        Ok(())
    }

    fn watch(&self, number: u64, interest: EventFlags) -> Result<()> {
        if let Some(connection) = self.connections.get(&number) {
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
            input: Vec::new(),
            unwritten: Vec::new(),
        }
    }

    /// Reads once. Gives the frames for everybody, if there are whole ones.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.input.reserve(READ_SIZE);
        if rustix::io::read(&self.socket, spare_capacity(&mut self.input))? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if !self.is_open {
            // Clients wait for the 101 before they send frames.
            if self.input.ends_with(b"\r\n\r\n") {
                self.is_open = true;
                let answer = opening_answer(&std::mem::take(&mut self.input));
                self.socket.write_all(&answer)?;
            }
            return Ok(None);
        }
        if self.input.first() == Some(&FIN_CLOSE) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (place, taken) = echo(&mut self.input);
        let frames = (taken > 0).then(|| self.input[place].to_vec());
        self.input.drain(..taken);
        Ok(frames)
    }

    /// Writes frames, as far as the client takes them; whether it took all.
    fn tell(&mut self, frames: &[u8]) -> io::Result<bool> {
        if !self.is_open {
            return Ok(true);
        }
        if !self.unwritten.is_empty() {
            self.unwritten.extend_from_slice(frames);
            return Ok(true);
        }
        let taken = taken(self.socket.write(frames))?;
        self.unwritten.extend_from_slice(&frames[taken..]);
        Ok(self.unwritten.is_empty())
    }

    fn go_on(&mut self) -> io::Result<()> {
        let taken = taken(self.socket.write(&self.unwritten))?;
        self.unwritten.drain(..taken);
        Ok(())
    }
}

fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
