//! Writes what waits: the session, its home, or whoever helps them.

use std::sync::Arc;

use super::caller::Caller;
use super::object::Output;
use super::writer::{self, Progress, Shared, Writer, Written};
use crate::protocol::OutputState;
use crate::sync::{MutexGuard, Ordering};
use crate::transport::Stream;

impl<S: Stream> Output<S> {
    /// Writes what waits, as far as the client takes it. For the session, during its turn.
    pub fn write(&self) -> Progress {
        self.write_some(self.writer(), false).1
    }

    /// The same at the end of its turn. Frees memory that an idle connection does not need.
    pub fn settle(&self) -> Progress {
        let (mut writer, progress) = self.write_some(self.writer(), true);
        writer.is_session_waiting = is_pending(&progress);
        writer.release();
        progress
    }

    /// Writes what waits, for a session that takes no part in it. The session takes a turn if that
    /// changes what it waits for.
    pub fn write_for_session(&self) -> Progress {
        self.write_with(self.writer())
    }

    /// Writes what waits, unless the stream is in use: then the connection's home does.
    pub fn write_or_leave(self: &Arc<Self>) {
        match self.try_writer() {
            Some(writer) => drop(self.write_with(writer)),
            // Who uses it may have looked into the queue for the last time.
            None => self.home.help(self),
        }
    }

    fn write_with(&self, writer: MutexGuard<'_, Writer<S>>) -> Progress {
        let (mut writer, progress) = self.write_some(writer, false);
        let is_session_needed = match progress {
            // It limits how long it waits for the client.
            Progress::At(OutputState::Pending { .. }) => !writer.is_session_waiting,
            // It reads again, or waits for the answer to the close frame.
            Progress::At(OutputState::Written { has_close }) => {
                writer.is_session_waiting || has_close
            }
            Progress::Broken(_) => true,
        };
        writer.release();
        drop(writer);
        if is_session_needed {
            self.wake();
        }
        progress
    }

    /// Writes what waits. `ends_turn` says that the session is about to wait.
    fn write_some<'a>(
        &'a self,
        mut writer: MutexGuard<'a, Writer<S>>,
        ends_turn: bool,
    ) -> (MutexGuard<'a, Writer<S>>, Progress) {
        let gathers = ends_turn && self.home.gathers();
        loop {
            if let Some(failure) = writer.failure() {
                return (writer, Progress::Broken(failure));
            }
            let progress = match writer.write_some(&self.shared, gathers) {
                // Others may want to read or write meanwhile.
                Ok(Written::Enough) => {
                    drop(writer);
                    writer = self.writer();
                    continue;
                }
                Ok(Written::All { has_close }) => Progress::At(OutputState::Written { has_close }),
                Ok(Written::Taken) => Progress::At(writer.pending(&self.shared)),
                Err(error) => {
                    writer.fail(&self.shared, writer::copy(&error));
                    Progress::Broken(error)
                }
            };
            return (writer, progress);
        }
    }

    /// Runs a callback of the connection: its session waits for nothing meanwhile.
    pub fn in_callback<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        struct Callback<'a>(&'a Shared);
        impl Drop for Callback<'_> {
            fn drop(&mut self) {
                self.0.queue().set_in_callback(false);
            }
        }
        if self.home.gathers() {
            return body();
        }
        let _callback = Callback(&self.shared);
        if self.shared.queue().set_in_callback(true) {
            self.tell_home(Caller::Own);
        }
        body()
    }

    /// The turn that goes on takes long, or may. What its callbacks have sent is written soon, as
    /// is what they are going to send.
    pub fn stop_gathering(self: &Arc<Self>) {
        if self.shared.queue().stop_gathering() {
            self.tell_home(Caller::Callback);
        }
    }

    /// Whether the flusher still has to be told of the connection; afterwards it counts as told,
    /// until [`begin_help`](Self::begin_help).
    pub fn mark_scheduled(&self) -> bool {
        // A sender that finds the flag set has queued its frame before the flusher takes the queue,
        // as both take the queue's lock.
        !self.is_scheduled.load(Ordering::Relaxed)
            && !self.is_scheduled.swap(true, Ordering::AcqRel)
    }

    /// For the flusher: it has to be told anew of what is queued from now on.
    pub fn begin_help(&self) {
        // Not just a store: this thread sees what those did who found the flag set.
        self.is_scheduled.swap(false, Ordering::AcqRel);
    }

    /// Whether the session cannot write when the client takes more, as a callback runs, or a sender
    /// waits for room.
    pub fn needs_help(&self) -> bool {
        self.shared.queue().needs_help()
    }
}

fn is_pending(progress: &Progress) -> bool {
    matches!(progress, Progress::At(OutputState::Pending { .. }))
}
