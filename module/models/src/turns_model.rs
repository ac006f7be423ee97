//! Turns of a connection: `run_state.rs` and `ready.rs`.

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::output::Pause;
use crate::ready::{Queued, Ready};
use crate::run_state::RunState;

/// A connection. Its turns count what has arrived.
struct Connection {
    arrived: AtomicUsize,
    pause: Pause,
    state: RunState<Life>,
}

struct Life {
    seen: usize,
}

impl Queued for Connection {
    fn mark_queued(&self) -> bool {
        self.state.mark_queued()
    }

    fn is_heavy(&self) -> bool {
        false
    }
}

/// A loop with one connection, whose first turn is asked for.
struct Loop {
    ready: Ready<Connection, AtomicUsize, ()>,
    /// Takes the place of the descriptor that interrupts the poller.
    interrupter: Notify,
    connection: Arc<Connection>,
}

impl Loop {
    fn new() -> Arc<Self> {
        let connection = Connection {
            arrived: AtomicUsize::new(0),
            pause: Pause::default(),
            state: RunState::new(),
        };
        connection.state.start(Life { seen: 0 });
        let event_loop = Arc::new(Self {
            ready: Ready::new(()),
            interrupter: Notify::new(),
            connection: Arc::new(connection),
        });
        event_loop.enqueue();
        event_loop
    }

    fn enqueue(&self) {
        if self.ready.put(&self.connection) {
            self.interrupter.notify();
        }
    }

    /// What a sender or the poller does.
    fn arrive(&self) {
        self.connection.arrived.fetch_add(1, Ordering::Relaxed);
        self.enqueue();
    }

    /// Runs the loop until a turn has seen so many arrivals.
    fn run(&self, arrivals: usize) {
        loop {
            if self.ready.begin_wait() {
                self.interrupter.wait();
            }
            self.ready.end_wait();
            while let Some(connection) = self.ready.take_light() {
                if self.turn(&connection) == Some(arrivals) {
                    return;
                }
            }
        }
    }

    /// Takes a turn, as `Connection::turn` does. Gives what it has seen, if there was one.
    fn turn(&self, connection: &Connection) -> Option<usize> {
        let mut life = connection.state.begin()?;
        if !connection.pause.is_on() {
            life.seen = connection.arrived.load(Ordering::Relaxed);
        }
        let seen = life.seen;
        if connection.state.end(life) {
            self.enqueue();
        }
        Some(seen)
    }
}

/// Two threads bring something, one runs the loop.
pub fn every_arrival_is_followed_by_a_turn() {
    let event_loop = Loop::new();
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let event_loop = Arc::clone(&event_loop);
            thread::spawn(move || event_loop.arrive())
        })
        .collect();
    event_loop.run(2);
    for sender in senders {
        sender.join().unwrap();
    }
}

/// A thread of the pool takes the first turn, another thread brings something, and the loop must
/// see it, unless that turn did. Until that turn begins, nothing is put into the queue for the
/// loop.
pub fn a_wake_up_during_a_turn_is_not_lost() {
    let event_loop = Loop::new();
    let connection = event_loop.ready.take_light().expect("it was put");
    let job = {
        let event_loop = Arc::clone(&event_loop);
        thread::spawn(move || {
            if event_loop.turn(&connection) == Some(1) {
                // Only so that the loop ends here.
                event_loop.enqueue();
            }
        })
    };
    let sender = {
        let event_loop = Arc::clone(&event_loop);
        thread::spawn(move || event_loop.arrive())
    };
    event_loop.run(1);
    job.join().unwrap();
    sender.join().unwrap();
}

/// A thread pauses and resumes while a message arrives: it is seen all the same.
pub fn a_message_follows_the_end_of_a_pause() {
    let event_loop = Loop::new();
    let plugin = {
        let event_loop = Arc::clone(&event_loop);
        thread::spawn(move || {
            for _ in 0..2 {
                event_loop.connection.pause.begin();
                if event_loop.connection.pause.lift() {
                    event_loop.enqueue();
                }
            }
        })
    };
    let sender = {
        let event_loop = Arc::clone(&event_loop);
        thread::spawn(move || event_loop.arrive())
    };
    event_loop.run(1);
    plugin.join().unwrap();
    sender.join().unwrap();
}

/// Two threads have something to be written, one runs the loop, which takes it all.
pub fn every_output_is_taken() {
    let event_loop = Loop::new();
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let event_loop = Arc::clone(&event_loop);
            thread::spawn(move || {
                if event_loop.ready.put_output(&Arc::new(AtomicUsize::new(0))) {
                    event_loop.interrupter.notify();
                }
            })
        })
        .collect();
    let mut taken = Vec::new();
    while taken.len() < 2 {
        if event_loop.ready.begin_wait() {
            event_loop.interrupter.wait();
        }
        event_loop.ready.end_wait();
        while event_loop.ready.take_light().is_some() {}
        while event_loop.ready.take_outputs(&mut taken, 1) {}
    }
    for sender in senders {
        sender.join().unwrap();
    }
}
