//! Who else there is: the client, what drives the connection, the flusher.

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use crate::meter::Meter;
use crate::output::{Caller, Framing, Home, Output, Progress, QueuePolicy, SlowClient, Wake};
use crate::output_state::OutputState;
use crate::transport::Stream;

/// What drives the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A loop, which is told of what threads send.
    Loop,
    /// A loop that lets threads write what they send.
    IdleLoop,
    /// A thread of its own.
    Thread,
}

/// A connection.
pub(super) struct Connection {
    pub(super) output: Arc<Output<Socket>>,
    pub(super) client: Arc<Client>,
    home: Arc<Driver>,
}

impl Connection {
    /// Without a stream, and room for messages until so many bytes wait.
    pub(super) fn new(kind: Kind, limit: usize) -> Arc<Self> {
        Self::with_timeout(kind, limit, None)
    }

    pub(super) fn with_timeout(kind: Kind, limit: usize, timeout: Option<Duration>) -> Arc<Self> {
        let home = Arc::new(Driver {
            kind,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let policy = QueuePolicy {
            limit,
            slow_client: SlowClient::Wait,
        };
        let output = Output::new(
            policy,
            timeout,
            Arc::clone(&home) as _,
            Arc::clone(&home) as _,
            Framing::new(None, Meter),
        );
        Arc::new(Self {
            output,
            client: Arc::new(Client::new(Arc::clone(&home))),
            home,
        })
    }

    /// The client takes `room` bytes.
    pub(super) fn open(kind: Kind, room: usize, limit: usize) -> Arc<Self> {
        let connection = Self::new(kind, limit);
        connection.begin(room);
        connection
    }

    /// The 101 response is sent, and the first turn is due.
    pub(super) fn begin(&self, room: usize) {
        self.client.take(room);
        self.output.open(Socket(Arc::clone(&self.client)));
        Arc::clone(&self.home).wake();
    }

    /// Runs `body` in a thread, as one of those who send.
    pub(super) fn spawn<T: 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Self) -> T + 'static,
    ) -> JoinHandle<T> {
        let connection = Arc::clone(self);
        thread::spawn(move || {
            let result = body(&connection);
            connection.home.change(|state| state.ended_senders += 1);
            result
        })
    }

    /// Does all that somebody asks for, until so many threads that send have ended. Gives what the
    /// last turn of the session found.
    pub(super) fn drive(&self, senders: usize) -> Progress {
        let mut found = Progress::At(OutputState::Written { has_close: false });
        while let Some(due) = self.home.wait(|state| state.ended_senders >= senders) {
            if due.is_output {
                self.output.write_for_session();
            }
            if due.is_turn {
                found = self.output.settle();
            }
        }
        found
    }

    /// Like [`drive`](Self::drive), with turns that look whether a full queue has drained. Gives
    /// how often one had.
    pub(super) fn count_drains(&self, senders: usize) -> usize {
        let mut drained = 0;
        while let Some(due) = self.home.wait(|state| state.ended_senders >= senders) {
            if due.is_output {
                self.output.write_for_session();
            }
            if due.is_turn {
                let has_drained = self.output.take_due() && self.output.take_drained();
                drained += usize::from(has_drained);
                self.output.settle();
                if self.output.is_due() {
                    Arc::clone(&self.home).wake();
                }
            }
        }
        drained
    }

    /// What the loop, or the flusher, does while a callback blocks, until `end_help`.
    pub(super) fn help(&self) {
        while self.home.wait(|state| state.is_helped).is_some() {
            self.output.begin_help();
            while matches!(
                self.output.write_for_session(),
                Progress::At(OutputState::Pending { .. })
            ) {
                self.client.wait_for_room();
            }
        }
    }

    pub(super) fn end_help(&self) {
        self.home.change(|state| state.is_helped = true);
    }
}

/// What drives the connection, and what it has to do.
pub(super) struct Driver {
    kind: Kind,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: Due,
    ended_senders: usize,
    is_helped: bool,
}

#[derive(Clone, Copy, Default)]
struct Due {
    is_turn: bool,
    is_output: bool,
}

impl Driver {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until there is something to do. `None`: nothing any more.
    fn wait(&self, has_ended: impl Fn(&State) -> bool) -> Option<Due> {
        let mut state = self.state.lock().unwrap();
        loop {
            let due = mem::take(&mut state.due);
            if due.is_turn || due.is_output {
                return Some(due);
            }
            if has_ended(&state) {
                return None;
            }
            state = self.changed.wait(state).unwrap();
        }
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.change(|state| state.due.is_turn = true);
    }
}

impl Home<Socket> for Driver {
    fn write_soon(&self, output: &Arc<Output<Socket>>, caller: Caller) -> bool {
        if caller == Caller::Thread && self.kind != Kind::Loop {
            return true;
        }
        if self.kind != Kind::Thread || output.mark_scheduled() {
            self.change(|state| state.due.is_output = true);
        }
        false
    }

    fn help(&self, _: &Arc<Output<Socket>>) {
        self.change(|state| state.due.is_output = true);
    }

    fn gathers(&self) -> bool {
        self.kind != Kind::Thread
    }
}

/// A client, and the way to it.
pub(super) struct Client {
    state: Mutex<ClientState>,
    changed: Condvar,
    home: Arc<Driver>,
}

#[derive(Default)]
struct ClientState {
    /// So many bytes more it takes.
    room: usize,
    /// Somebody found no room: the poller tells when there is some.
    is_missed: bool,
    received: Vec<u8>,
}

impl Client {
    fn new(home: Arc<Driver>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            home,
        }
    }

    /// Takes so many bytes more.
    pub(super) fn take(&self, room: usize) {
        let is_missed = {
            let mut state = self.state.lock().unwrap();
            state.room += room;
            mem::take(&mut state.is_missed)
        };
        self.changed.notify_all();
        if is_missed {
            Arc::clone(&self.home).wake();
        }
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
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn is_emptied_by_short_reads(&self) -> bool {
        true
    }

    fn find_end(&mut self) {}

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

    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(
            &pieces
                .iter()
                .flat_map(|piece| piece.to_vec())
                .collect::<Vec<_>>(),
        )
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

    fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn abort(&mut self) {
        self.0.state.lock().unwrap().room = 0;
    }
}
