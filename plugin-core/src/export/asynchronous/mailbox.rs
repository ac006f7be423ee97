//! The messages and events of one connection that wait for its task, and which thread runs the
//! task.
//!
//! The task is one future for the whole connection. A thread of httpd runs it when it brings what
//! the task waits for, a thread of the runtime when something else has woken it. Whoever runs it
//! takes it out of here meanwhile, so no lock is held over a plugin's code, and no two threads run
//! it at once.

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::collections::VecDeque;
use std::mem;
use std::task::{Poll, Waker};
use std::time::Instant;

/// So many messages may wait before the client is held back.
pub(crate) const MOST_MESSAGES: usize = 32;

/// So many bytes may wait before the client is held back.
pub(crate) const MOST_BYTES: usize = 64 * 1024;

/// What waits in a mailbox.
pub(crate) trait Content {
    /// The length in bytes.
    fn weight(&self) -> usize;

    /// Whether it is a message of the client. All else is dropped when the connection ends.
    fn is_message(&self) -> bool;
}

/// What becomes of the messages that wait when the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The task handles them, for as long as the limit allows.
    Handled,
    /// They are dropped, and the callback that waits is cancelled.
    Dropped,
}

/// Messages and events `M` for a task `F`, and the end `E` of the connection.
pub(crate) struct Mailbox<M, F, E> {
    inner: Mutex<Inner<M, F, E>>,
    has_room: Condvar,
}

struct Inner<M, F, E> {
    queue: VecDeque<M>,
    /// The bytes in the queue, and of the message that the task handles.
    bytes: usize,
    /// The bytes of the message that the task handles.
    handled: usize,
    /// The task handles something.
    is_in_callback: bool,
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
    /// The callback that runs is cancelled.
    is_cut: bool,
    /// The task is at the last callback.
    is_last: bool,
    /// The task has to come to its last callback as soon as the connection has ended.
    is_hurried: bool,
    /// When the runtime cuts the callback short.
    limit: Option<Instant>,
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

impl<M: Content, F, E> Mailbox<M, F, E> {
    /// An empty mailbox with its task.
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                bytes: 0,
                handled: 0,
                is_in_callback: false,
                task: None,
                is_idle: false,
                again: false,
                waker: None,
                end: None,
                has_ended: false,
                is_cut: false,
                is_last: false,
                is_hurried: false,
                limit: None,
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

    /// Adds a message or an event. If that fills the mailbox, calls `hold`, which stops reading
    /// from the client and returns whether it could.
    ///
    /// `hold`, and `release` of [`next`](Self::next), are called under the lock: in the other
    /// order, the client would be held back for good.
    pub(crate) fn push(&self, content: M, hold: impl FnOnce() -> bool) -> Pushed<F> {
        let mut inner = self.lock();
        if inner.is_shut || inner.has_ended {
            drop(inner);
            // Dropping it may run the plugin's code.
            drop(content);
            return Pushed::Queued;
        }
        inner.bytes += content.weight();
        inner.queue.push_back(content);
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

    /// Calls `hold` if the task waits although the mailbox is full: the message that it handles may
    /// be a large one.
    pub(crate) fn hold_if_full(&self, hold: impl FnOnce() -> bool) {
        let mut inner = self.lock();
        if inner.is_full() && !inner.is_held && !inner.has_ended && !inner.is_shut {
            inner.is_held = hold();
        }
    }

    /// Whether a message waits, or a callback has not completed.
    pub(crate) fn has_rest(&self) -> bool {
        let inner = self.lock();
        inner.is_in_callback || inner.queue.iter().any(M::is_message)
    }

    /// The bytes of the messages that wait, and of the one that the task handles.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits until the mailbox is not full.
    pub(crate) fn wait_for_room(&self) {
        let mut inner = self.lock();
        while inner.is_full() && !inner.has_ended && !inner.is_shut {
            let waited = self.has_room.wait(inner);
            inner = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For the task: what it has to handle next, or `None` when the connection has ended and
    /// nothing is left to handle. What it got before is handled. Calls `release` if the client was
    /// held back and there is room again.
    ///
    /// The task needs no waker: whoever adds something sees that it waits.
    pub(crate) fn next(&self, release: impl FnOnce()) -> Poll<Option<M>> {
        let mut inner = self.lock();
        inner.bytes -= mem::take(&mut inner.handled);
        let next = inner.queue.pop_front();
        inner.handled = next.as_ref().map_or(0, Content::weight);
        inner.is_in_callback = next.is_some();
        let has_room = inner.queue.len() <= MOST_MESSAGES / 2 && inner.bytes <= MOST_BYTES / 2;
        if has_room && mem::take(&mut inner.is_held) {
            release();
        }
        if !inner.is_full() {
            self.has_room.notify_all();
        }
        match next {
            None if !inner.has_ended => {
                inner.is_idle = true;
                Poll::Pending
            }
            next => Poll::Ready(next),
        }
    }

    /// For the task: it wants no more messages, but still the end. Those that wait are dropped.
    pub(crate) fn shut(&self, release: impl FnOnce()) {
        let mut inner = self.lock();
        inner.is_shut = true;
        let dropped = inner.clear();
        if mem::take(&mut inner.is_held) {
            release();
        }
        self.has_room.notify_all();
        drop(inner);
        drop(dropped);
    }

    /// For the task: whether the callback that runs has to be cancelled.
    pub(crate) fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    /// For the task: how the connection has ended. The task begins its last callback, which may
    /// take until `limit`.
    pub(crate) fn take_end(&self, limit: Instant) -> Option<E> {
        let mut inner = self.lock();
        inner.is_cut = false;
        inner.is_last = true;
        inner.limit = Some(limit);
        inner.end.take()
    }

    /// Tells the task that the connection has ended. If the `rest` is handled, that may take until
    /// `limit`. The caller has to run the task, if it gets it, and then to wake the waker.
    /// Otherwise another thread does.
    pub(crate) fn end(&self, end: E, rest: Rest, limit: Instant) -> Option<(F, Waker)> {
        let mut inner = self.lock();
        inner.end = Some(end);
        inner.has_ended = true;
        let dropped = match rest {
            Rest::Handled if !inner.is_hurried => {
                inner.limit = Some(limit);
                inner.split_messages()
            }
            Rest::Handled | Rest::Dropped => {
                inner.is_cut = true;
                inner.clear()
            }
        };
        self.has_room.notify_all();
        let run = inner.wake();
        drop(inner);
        drop(dropped);
        run
    }

    /// For the runtime: until when the task may go on as it does.
    pub(crate) fn limit(&self) -> Option<Instant> {
        self.lock().limit
    }

    /// For the runtime: has the callback that runs cancelled, and what waits dropped, if the limit
    /// has passed. Then the caller runs the task.
    pub(crate) fn cut_if_late(&self, now: Instant) {
        let is_late = |inner: &mut Inner<M, F, E>| inner.limit.is_some_and(|limit| limit <= now);
        self.cut_if(is_late, |_| None::<()>);
    }

    /// Has the task come to its last callback. The caller wakes it with this waker. If the
    /// connection is just ending, the task does that by itself when it has.
    pub(crate) fn hurry(&self) -> Option<Waker> {
        self.cut_if(Inner::hurry, |inner| inner.waker.clone())
    }

    /// The same, but the caller runs the task, and then wakes the waker. If it does not get the
    /// task, a thread that runs it sees what has happened.
    pub(crate) fn give_up(&self) -> Option<(F, Waker)> {
        self.cut_if(Inner::hurry, Inner::wake)
    }

    fn cut_if<R>(
        &self,
        is_due: impl FnOnce(&mut Inner<M, F, E>) -> bool,
        then: impl FnOnce(&mut Inner<M, F, E>) -> Option<R>,
    ) -> Option<R> {
        let mut inner = self.lock();
        if !is_due(&mut inner) {
            return None;
        }
        inner.is_cut = true;
        inner.limit = None;
        let dropped = inner.clear();
        let result = then(&mut inner);
        drop(inner);
        drop(dropped);
        result
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
        if mem::take(&mut inner.again) {
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

impl<M: Content, F, E> Inner<M, F, E> {
    /// Takes out everything that waits.
    fn clear(&mut self) -> VecDeque<M> {
        self.bytes = self.handled;
        mem::take(&mut self.queue)
    }

    /// Takes out everything that waits and is no message.
    fn split_messages(&mut self) -> VecDeque<M> {
        let (messages, others) = self.clear().into_iter().partition(M::is_message);
        self.queue = messages;
        self.bytes += self.queue.iter().map(M::weight).sum::<usize>();
        others
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

    /// Notes that the task is hurried. Returns whether it can come to its last callback now.
    fn hurry(&mut self) -> bool {
        self.is_hurried = true;
        self.has_ended && !self.is_last
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
