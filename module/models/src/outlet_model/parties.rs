//! Who else there is: the client, the session, the flusher.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use super::gone::Gone;
use super::outbox::{Closed, Frame};
use super::outlet::{Caller, Outlet, Waited, Wake};
use super::writer::{Output, Stream};

/// A connection.
pub(super) struct Connection {
    pub(super) outlet: Outlet<Socket>,
    pub(super) client: Arc<Client>,
    session: Arc<Session>,
}

impl Connection {
    /// Without a stream, and room for messages until so many bytes wait.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let session = Arc::new(Session::default());
        Arc::new(Self {
            outlet: Outlet::new(limit, Arc::<Session>::clone(&session)),
            client: Arc::new(Client::new(Arc::clone(&session))),
            session,
        })
    }

    /// The client takes `room` bytes.
    pub(super) fn open(room: usize, limit: usize) -> Arc<Self> {
        let connection = Self::new(limit);
        connection.begin(room);
        connection
    }

    /// The 101 response is sent, and the first turn is due.
    pub(super) fn begin(&self, room: usize) {
        self.client.take(room);
        self.outlet.open(Socket(Arc::clone(&self.client)));
        Arc::clone(&self.session).wake();
    }

    /// What `Link::send` does, without the flusher.
    pub(super) fn send(&self, frame: Frame<'_>) -> Result<(), Closed> {
        if !self.outlet.accept(frame)? {
            let accept = || self.outlet.accept(frame);
            self.outlet
                .accept_later(accept, |gone, _, _| self.client.wait(gone))?;
        }
        let _ = self.outlet.see_off(Caller::Other, frame.is_close);
        Ok(())
    }

    /// Runs `body` in a thread, as one of those who send.
    pub(super) fn spawn<T: 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Self) -> T + 'static,
    ) -> JoinHandle<T> {
        let connection = Arc::clone(self);
        thread::spawn(move || {
            let result = body(&connection);
            connection.session.note_end();
            result
        })
    }

    /// Takes every turn that somebody asks for, until so many threads that send have ended. Gives what
    /// the last one found: how far the output has got, and whether there is a close frame.
    pub(super) fn drive(&self, senders: usize) -> (Output, bool) {
        let mut found = (Output::Drained, false);
        while self.session.is_due(senders) {
            found = (self.outlet.settle(), self.outlet.has_close());
        }
        found
    }
}

/// When the session takes a turn.
#[derive(Default)]
struct Session {
    state: Mutex<SessionState>,
    changed: Condvar,
}

#[derive(Default)]
struct SessionState {
    is_woken: bool,
    ended_senders: usize,
}

impl Session {
    fn note_end(&self) {
        self.state.lock().unwrap().ended_senders += 1;
        self.changed.notify_one();
    }

    /// Waits until a turn is due, or none will be.
    fn is_due(&self, senders: usize) -> bool {
        let mut state = self.state.lock().unwrap();
        while !state.is_woken && state.ended_senders < senders {
            state = self.changed.wait(state).unwrap();
        }
        mem::take(&mut state.is_woken)
    }
}

impl Wake for Session {
    fn wake(self: Arc<Self>) {
        self.state.lock().unwrap().is_woken = true;
        self.changed.notify_one();
    }
}

/// A client, and the way to it.
pub(super) struct Client {
    state: Mutex<ClientState>,
    changed: Condvar,
    session: Arc<Session>,
}

#[derive(Default)]
struct ClientState {
    /// So many bytes more it takes.
    room: usize,
    /// Somebody found no room: the poller tells the session when there is some.
    is_missed: bool,
    received: Vec<u8>,
    watchers: Vec<Gone>,
}

impl Client {
    fn new(session: Arc<Session>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            session,
        }
    }

    /// Takes so many bytes more.
    pub(super) fn take(&self, room: usize) {
        let (is_missed, watchers) = {
            let mut state = self.state.lock().unwrap();
            state.room += room;
            (mem::take(&mut state.is_missed), state.watchers.clone())
        };
        self.changed.notify_all();
        if is_missed {
            Arc::clone(&self.session).wake();
        }
        for watcher in watchers {
            watcher.ring();
        }
    }

    pub(super) fn is_writable(&self) -> bool {
        self.state.lock().unwrap().room > 0
    }

    /// What a sender does that found the queue full.
    fn wait(&self, gone: &Gone) -> Waited {
        self.state.lock().unwrap().watchers.push(gone.clone());
        gone.wait(self)
    }

    /// Waits until the client has so many bytes.
    pub(super) fn wait_for(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap();
        while state.received.len() < bytes {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// How many bytes the client has.
    pub(super) fn length(&self) -> usize {
        self.state.lock().unwrap().received.len()
    }

    /// Waits until the client takes more.
    fn wait_for_room(&self) {
        let mut state = self.state.lock().unwrap();
        while state.room == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// What the client has, where the same byte does not come twice in a row.
    pub(super) fn received(&self) -> String {
        let mut received = self.state.lock().unwrap().received.clone();
        received.dedup();
        String::from_utf8(received).unwrap()
    }
}

/// The way to a client.
pub(super) struct Socket(Arc<Client>);

impl Stream for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock().unwrap();
        let written = bytes.len().min(state.room);
        if written == 0 {
            state.is_missed = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.room -= written;
        state.received.extend_from_slice(&bytes[..written]);
        self.0.changed.notify_all();
        Ok(written)
    }

    fn write_frame(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        self.write(&[header, payload].concat())
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn has_progressed(&mut self) -> bool {
        false
    }

    fn retry_interval(&self, _: Duration) -> Option<Duration> {
        None
    }

    fn abort(&mut self) {
        self.0.state.lock().unwrap().room = 0;
    }
}

/// The thread that writes while callbacks block.
#[derive(Default)]
pub(super) struct Flusher {
    state: Mutex<FlusherState>,
    changed: Condvar,
}

#[derive(Default)]
struct FlusherState {
    is_due: bool,
    is_stopped: bool,
}

impl Flusher {
    /// What `Link::send` does, where the queue is never full.
    pub(super) fn send(&self, connection: &Connection, frame: Frame<'_>, caller: Caller) {
        assert_eq!(connection.outlet.accept(frame), Ok(true));
        if connection.outlet.see_off(caller, frame.is_close) {
            self.schedule(connection);
        }
    }

    pub(super) fn schedule(&self, connection: &Connection) {
        if connection.outlet.watch.mark_scheduled() {
            self.state.lock().unwrap().is_due = true;
            self.changed.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.state.lock().unwrap().is_stopped = true;
        self.changed.notify_one();
    }

    pub(super) fn run(&self, connection: &Connection) {
        while self.is_due() {
            let mut retry = connection.outlet.flush_scheduled();
            while retry.is_some() {
                connection.client.wait_for_room();
                retry = connection.outlet.flush_in_turn();
            }
        }
    }

    fn is_due(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        while !state.is_due && !state.is_stopped {
            state = self.changed.wait(state).unwrap();
        }
        mem::take(&mut state.is_due)
    }
}
