//! The messages of a connection of an async plugin, and the two threads that run its task:
//! `export/asynchronous/mailbox.rs` of `websocket-plugin`.

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Notify};
use loom::thread;
use std::task::{Poll, Wake, Waker};
use std::time::Instant;

use crate::mailbox::{Content, MOST_BYTES, Mailbox, Pushed, Rest, Taken};
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// A message that fills the mailbox.
struct Large;

impl Content for Large {
    fn weight(&self) -> usize {
        MOST_BYTES
    }

    fn is_message(&self) -> bool {
        true
    }
}

/// The task. It has nothing but its turns.
struct Task;

struct Connection {
    mailbox: Mailbox<Large, Task, ()>,
    handled: AtomicUsize,
    /// Used by whoever runs the task: loom fails if two threads do at once.
    turn: UnsafeCell<()>,
    /// Whether nothing is read from the client, and who is told that it is again.
    is_held: AtomicBool,
    reader: Notify,
}

/// Wakes the thread of the runtime.
struct Runtime(Notify);

impl Wake for Runtime {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.notify();
    }
}

impl Connection {
    fn new() -> Arc<Self> {
        let connection = Arc::new(Self {
            mailbox: Mailbox::new(),
            handled: AtomicUsize::new(0),
            turn: UnsafeCell::new(()),
            is_held: AtomicBool::new(false),
            reader: Notify::new(),
        });
        connection.mailbox.start(Task);
        connection
    }

    fn hold(&self) -> bool {
        self.is_held.store(true, Ordering::Relaxed);
        true
    }

    fn release(&self) {
        self.is_held.store(false, Ordering::Relaxed);
        self.reader.notify();
    }

    /// Runs the task, as `Link::run` does.
    fn run(&self, task: Task) -> Poll<()> {
        let is_over = self.turn.with_mut(|_| {
            loop {
                match self.mailbox.next(|| self.release()) {
                    Poll::Ready(Some(Large)) => self.handled.fetch_add(1, Ordering::Relaxed),
                    Poll::Ready(None) => break true,
                    Poll::Pending => break false,
                };
            }
        });
        if is_over {
            self.mailbox.finish();
            return Poll::Ready(());
        }
        assert!(self.mailbox.put_back(task).is_none(), "it has not finished");
        Poll::Pending
    }

    /// The thread of the runtime, until the connection has ended.
    fn serve(this: &Arc<Self>) -> thread::JoinHandle<()> {
        let connection = Arc::clone(this);
        thread::spawn(move || {
            let runtime = std::sync::Arc::new(Runtime(Notify::new()));
            let waker = Waker::from(std::sync::Arc::clone(&runtime));
            loop {
                match connection.mailbox.take(&waker) {
                    Taken::Run(task) => {
                        if connection.run(task).is_ready() {
                            return;
                        }
                    }
                    Taken::Busy => {}
                    Taken::Finished => return,
                }
                runtime.0.wait();
            }
        })
    }

    /// What the thread of httpd does with a message.
    fn push(&self, hold: impl Fn() -> bool) {
        match self.mailbox.push(Large, &hold) {
            Pushed::Queued => {}
            Pushed::Run(task, _) => {
                assert!(self.run(task).is_pending(), "it has not ended");
                self.mailbox.hold_if_full(&hold);
            }
            Pushed::Wait => self.mailbox.wait_for_room(),
        }
    }

    /// What the thread of httpd does at the end.
    fn end(&self, rest: Rest) {
        if let Some((task, waker)) = self.mailbox.end((), rest, Instant::now()) {
            assert!(self.run(task).is_ready(), "it has ended");
            waker.wake();
        }
    }
}

/// A message is handled by the thread that brings it, or by the runtime, and a client that was held
/// back is read from again.
pub fn a_held_client_goes_on() {
    let connection = Connection::new();
    let runtime = Connection::serve(&connection);
    for _ in 0..2 {
        connection.push(|| connection.hold());
        while connection.is_held.load(Ordering::Relaxed) {
            connection.reader.wait();
        }
    }
    connection.end(Rest::Dropped);
    runtime.join().unwrap();
    // The end may have dropped the second one.
    assert!(connection.handled.load(Ordering::Relaxed) >= 1);
}

/// Where the host cannot hold a client back, its thread waits for room.
pub fn a_thread_that_waits_for_room_goes_on() {
    let connection = Connection::new();
    let runtime = Connection::serve(&connection);
    for _ in 0..2 {
        connection.push(|| false);
    }
    // There was room for the second one, so the first one was taken.
    connection.end(Rest::Dropped);
    runtime.join().unwrap();
    assert!(connection.handled.load(Ordering::Relaxed) >= 1);
}

/// What waits when the client closes in order is handled, whichever thread does it.
pub fn what_waits_is_handled_after_a_clean_end() {
    let connection = Connection::new();
    let runtime = Connection::serve(&connection);
    for _ in 0..2 {
        connection.push(|| connection.hold());
    }
    connection.end(Rest::Handled);
    runtime.join().unwrap();
    assert_eq!(connection.handled.load(Ordering::Relaxed), 2);
}

/// The task completes when the connection ends, whichever thread runs it then.
pub fn the_task_learns_of_the_end() {
    let connection = Connection::new();
    let runtime = Connection::serve(&connection);
    connection.end(Rest::Dropped);
    runtime.join().unwrap();
    assert!(connection.mailbox.finish().is_none(), "the task is left");
}

/// So it does when another thread has it give way, which then runs the task if nobody else does.
pub fn a_task_that_gives_way_completes() {
    let connection = Connection::new();
    let runtime = Connection::serve(&connection);
    connection.push(|| connection.hold());
    let ended = Arc::clone(&connection);
    let other = thread::spawn(move || {
        if let Some((task, waker)) = ended.mailbox.give_up() {
            assert!(ended.run(task).is_ready(), "it has ended");
            waker.wake();
        }
    });
    connection.end(Rest::Handled);
    runtime.join().unwrap();
    other.join().unwrap();
    assert!(connection.mailbox.finish().is_none(), "the task is left");
}
