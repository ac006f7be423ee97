//! The messages of one connection that wait for its task, and which thread runs the task.
//!
//! The task is one future for the whole connection. A thread of httpd runs it when it brings what
//! the task waits for, a thread of the runtime when something else has woken it. Whoever runs it
//! takes it out of here meanwhile, so no lock is held over a plugin's code, and no two threads run
//! it at once.

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::collections::VecDeque;
use std::task::{Poll, Waker};

/// So many messages may wait before the client is held back.
pub(crate) const MOST_MESSAGES: usize = 32;

/// So many bytes may wait before the client is held back.
pub(crate) const MOST_BYTES: usize = 64 * 1024;

/// What waits in a mailbox.
pub(crate) trait Weighed {
    /// The length in bytes.
    fn weight(&self) -> usize;
}

/// Messages `M` for a task `F`, and the end `E` of the connection.
pub(crate) struct Mailbox<M, F, E> {
    inner: Mutex<Inner<M, F, E>>,
    has_room: Condvar,
}

struct Inner<M, F, E> {
    queue: VecDeque<M>,
    bytes: usize,
    /// Absent while a thread runs it, and when it has completed.
    task: Option<F>,
    /// The task has found the queue empty, and waits for a message.
    is_idle: bool,
    /// While a thread ran the task, something happened that the task may have missed.
    again: bool,
    /// Wakes the runtime, which then runs the task. Absent until the runtime has run it once.
    waker: Option<Waker>,
    /// The connection has ended. The task takes the value.
    end: Option<E>,
    has_ended: bool,
    /// No more messages are wanted.
    is_shut: bool,
    /// The task has completed, or was dropped.
    is_finished: bool,
    /// Nothing is read from the client.
    is_held: bool,
}

/// What the caller of [`Mailbox::push`] has to do.
pub(crate) enum Pushed<F> {
    /// Nothing.
    Queued,
    /// Run the task with this waker, and call [`Mailbox::put_back`].
    Run(F, Waker),
    /// Call [`Mailbox::wait_for_room`]: the client could not be held back.
    Wait,
}

/// What the runtime has to do.
pub(crate) enum Taken<F> {
    /// Run the task, and call [`Mailbox::put_back`].
    Run(F),
    /// Nothing: another thread runs the task, and then wakes the waker.
    Busy,
    /// Nothing any more.
    Finished,
}

impl<M: Weighed, F, E> Mailbox<M, F, E> {
    /// An empty mailbox with its task.
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                bytes: 0,
                task: None,
                is_idle: false,
                again: false,
                waker: None,
                end: None,
                has_ended: false,
                is_shut: false,
                is_finished: false,
                is_held: false,
            }),
            has_room: Condvar::new(),
        }
    }

    /// Sets the task, before a thread knows of the mailbox.
    pub(crate) fn start(&self, task: F) {
        self.lock().task = Some(task);
    }

    /// Adds a message. If that fills the mailbox, calls `hold`, which stops reading from the client
    /// and returns whether it could.
    ///
    /// `hold`, and `release` of [`next`](Self::next), are called under the lock: in the other
    /// order, the client would be held back for good.
    pub(crate) fn push(&self, message: M, hold: impl FnOnce() -> bool) -> Pushed<F> {
        let mut inner = self.lock();
        if inner.is_shut || inner.has_ended {
            return Pushed::Queued;
        }
        inner.bytes += message.weight();
        inner.queue.push_back(message);
        if let Some((task, waker)) = inner.wake_idle() {
            return Pushed::Run(task, waker);
        }
        if inner.is_full() && !inner.is_held {
            inner.is_held = hold();
            if !inner.is_held {
                return Pushed::Wait;
            }
        }
        Pushed::Queued
    }

    /// Waits until the mailbox is not full.
    pub(crate) fn wait_for_room(&self) {
        let mut inner = self.lock();
        while inner.is_full() && !inner.has_ended && !inner.is_shut {
            let waited = self.has_room.wait(inner);
            inner = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For the task: the next message, or `None` when the connection has ended. Calls `release` if
    /// the client was held back and there is room again.
    ///
    /// The task needs no waker: whoever adds something sees that it waits.
    pub(crate) fn next(&self, release: impl FnOnce()) -> Poll<Option<M>> {
        let mut inner = self.lock();
        if inner.has_ended {
            return Poll::Ready(None);
        }
        let Some(message) = inner.queue.pop_front() else {
            inner.is_idle = true;
            return Poll::Pending;
        };
        inner.bytes -= message.weight();
        let has_room = inner.queue.len() <= MOST_MESSAGES / 2 && inner.bytes <= MOST_BYTES / 2;
        if has_room && std::mem::take(&mut inner.is_held) {
            release();
        }
        if !inner.is_full() {
            self.has_room.notify_all();
        }
        Poll::Ready(Some(message))
    }

    /// For the task: it wants no more messages, but still the end. Those that wait are dropped.
    pub(crate) fn shut(&self, release: impl FnOnce()) {
        let mut inner = self.lock();
        inner.is_shut = true;
        inner.bytes = 0;
        let dropped = std::mem::take(&mut inner.queue);
        if std::mem::take(&mut inner.is_held) {
            release();
        }
        self.has_room.notify_all();
        drop(inner);
        drop(dropped);
    }

    /// For the task: whether the connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// For the task: how the connection has ended.
    pub(crate) fn take_end(&self) -> Option<E> {
        self.lock().end.take()
    }

    /// Tells the task that the connection has ended. The caller has to run the task, if it gets it.
    /// Otherwise another thread does.
    pub(crate) fn end(&self, end: E) -> Option<(F, Waker)> {
        let mut inner = self.lock();
        inner.end = Some(end);
        inner.has_ended = true;
        inner.bytes = 0;
        let dropped = std::mem::take(&mut inner.queue);
        self.has_room.notify_all();
        let run = inner.wake();
        drop(inner);
        drop(dropped);
        run
    }

    /// For the runtime, whenever `waker` was woken: the task to run.
    pub(crate) fn take(&self, waker: &Waker) -> Taken<F> {
        let mut inner = self.lock();
        if inner.is_finished {
            return Taken::Finished;
        }
        if !inner.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
        match inner.take() {
            Some(task) => Taken::Run(task),
            None => {
                inner.again = true;
                Taken::Busy
            }
        }
    }

    /// Puts the task back after it was run. If it has to be run again, wakes the runtime for that.
    /// Returns the task if the runtime has ended meanwhile, to be dropped.
    #[must_use]
    pub(crate) fn put_back(&self, task: F) -> Option<F> {
        let mut inner = self.lock();
        if inner.is_finished {
            return Some(task);
        }
        inner.task = Some(task);
        if std::mem::take(&mut inner.again) {
            let waker = inner.waker.clone();
            drop(inner);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        None
    }

    /// The task has completed, or was dropped: forgets the runtime, and gives the task if it is
    /// here.
    pub(crate) fn finish(&self) -> Option<F> {
        let mut inner = self.lock();
        inner.is_shut = true;
        inner.is_finished = true;
        inner.waker = None;
        self.has_room.notify_all();
        inner.task.take()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<M, F, E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M, F, E> Inner<M, F, E> {
    fn is_full(&self) -> bool {
        self.queue.len() >= MOST_MESSAGES || self.bytes >= MOST_BYTES
    }

    fn take(&mut self) -> Option<F> {
        let task = self.task.take()?;
        self.is_idle = false;
        self.again = false;
        Some(task)
    }

    /// Has the task run if it waits for a message, and not for something else.
    fn wake_idle(&mut self) -> Option<(F, Waker)> {
        if self.is_idle { self.wake() } else { None }
    }

    /// The task, if no thread runs it. If the runtime has never run it, it is going to.
    fn wake(&mut self) -> Option<(F, Waker)> {
        self.again = self.task.is_none();
        let waker = self.waker.clone()?;
        Some((self.take()?, waker))
    }
}
