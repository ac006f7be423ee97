//! The least an echo server can do: read, unmask, write back all that one read brought.
//!
//! One thread, one epoll, the kernel's socket buffers, and no checks at all: opcodes, masks, lengths
//! and UTF-8 are taken as they come, and the opening handshake is answered without a look at it. It
//! measures this machine and its kernel; it is not a server anybody should run.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
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
    input: Vec<u8>,
}

struct Connection {
    socket: TcpStream,
    is_open: bool,
    /// The beginning of a frame or of the request.
    partial: Vec<u8>,
    /// What the socket has not taken yet.
    output: Vec<u8>,
    written: usize,
}

fn main() -> Result<()> {
    let mut floor = Floor {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        listener: listen()?,
        connections: HashMap::new(),
        next: LISTENER + 1,
        input: vec![0; READ_SIZE],
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
            connection.read(&mut self.input)
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
            partial: Vec::new(),
            output: Vec::new(),
            written: 0,
        }
    }

    fn is_writing(&self) -> bool {
        self.written < self.output.len()
    }

    fn read(&mut self, input: &mut [u8]) -> io::Result<()> {
        let n = self.socket.read(input)?;
        if n == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let input = &mut input[..n];
        if !self.is_open {
            self.open(input);
        } else if self.partial.is_empty() {
            let rest = echo(input, &mut self.output);
            self.partial.extend_from_slice(rest);
        } else {
            self.partial.extend_from_slice(input);
            let rest = echo(&mut self.partial, &mut self.output).len();
            let taken = self.partial.len() - rest;
            self.partial.drain(..taken);
        }
        self.write()
    }

    /// Clients wait for the 101 before they send frames.
    fn open(&mut self, input: &[u8]) {
        const KEY: &str = "Sec-WebSocket-Key: ";
        self.partial.extend_from_slice(input);
        let request = String::from_utf8_lossy(&self.partial);
        if !request.ends_with("\r\n\r\n") {
            return;
        }
        let key = request.lines().find_map(|line| line.strip_prefix(KEY));
        let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
        self.output.extend_from_slice(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .as_bytes(),
        );
        self.partial.clear();
        self.is_open = true;
    }

    fn write(&mut self) -> io::Result<()> {
        while self.is_writing() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }
}

/// Appends the echo of all whole frames to `output` and gives what is left.
fn echo<'a>(mut input: &'a mut [u8], output: &mut Vec<u8>) -> &'a mut [u8] {
    while let Some((header_len, payload_len)) = lengths(input)
        && input.len() >= header_len + 4 + payload_len
    {
        let (header, rest) = input.split_at_mut(header_len);
        let (key, rest) = rest.split_at_mut(4);
        let (payload, rest) = rest.split_at_mut(payload_len);
        output.extend_from_slice(header);
        let length = output.len() - header_len + 1;
        output[length] &= 0x7f; // not masked
        unmask(payload, [key[0], key[1], key[2], key[3]]);
        output.extend_from_slice(payload);
        input = rest;
    }
    input
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
    let wide = u32::from_ne_bytes(key);
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}
