//! The least an echo server can do: read, unmask, write back all that one read brought.
//!
//! One thread, one epoll, the kernel's socket buffers, and no checks at all: opcodes, masks, lengths
//! and UTF-8 are taken as they come, and the opening handshake is answered without a look at it. It
//! measures this machine and its kernel; it is not a server anybody should run.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
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
        const KEY: &str = "Sec-WebSocket-Key: ";
        let request = String::from_utf8_lossy(&self.buffer);
        let key = request.lines().find_map(|line| line.strip_prefix(KEY));
        let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
        self.buffer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes();
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

/// Turns all whole frames into their echo, where they lie. Gives the place of the echo and the
/// length of what it was made of.
///
/// The echo lacks the four bytes of each masking key. They are saved in front, so that the payload
/// of the first frame, which may be large, need not move.
fn echo(buffer: &mut [u8]) -> (Range<usize>, usize) {
    let (mut from, mut to) = (0, 4);
    while let Some((header_len, payload_len)) = lengths(&buffer[from..])
        && buffer.len() - from >= header_len + 4 + payload_len
    {
        let (key_at, payload_at) = (from + header_len, from + header_len + 4);
        let end = payload_at + payload_len;
        let key = [0, 1, 2, 3].map(|i| buffer[key_at + i]);
        unmask(&mut buffer[payload_at..end], key);
        buffer.copy_within(from..key_at, to);
        buffer[to + 1] &= 0x7f; // not masked
        to += header_len;
        if to < payload_at {
            buffer.copy_within(payload_at..end, to);
        }
        to += payload_len;
        from = end;
    }
    (4..to, from)
}

/// Of a header without its masking key, and of the payload.
fn lengths(input: &[u8]) -> Option<(usize, usize)> {
    match input.get(1)? & 0x7f {
        126 => {
            let len = input.get(2..4)?.try_into().ok()?;
            Some((4, usize::from(u16::from_be_bytes(len))))
        }
        127 => {
            let len = input.get(2..10)?.try_into().ok()?;
            Some((10, usize::try_from(u64::from_be_bytes(len)).ok()?))
        }
        len => Some((2, usize::from(len))),
    }
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}
