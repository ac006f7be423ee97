//! Writes what waits. The session, its home, senders and the flusher call this.

use std::mem;
use std::sync::Arc;

use super::caller::Caller;
use super::object::Output;
use super::writer::{self, Progress, Shared, Writer, Written};
use crate::protocol::OutputState;
use crate::sync::{MutexGuard, Ordering};
use crate::transport::Stream;

impl<S: Stream> Output<S> {
    /// Writes what waits, as far as the client takes it. Called by the session during its turn.
    pub fn write(&self) -> Progress {
        self.write_some(self.writer(), false).1
    }

    /// Like [`write`](Self::write), at the end of the session's turn. Frees memory that an idle
    /// connection does not need.
    pub fn settle(&self) -> Progress {
        let (mut writer, progress) = self.write_some(self.writer(), true);
        writer.is_session_waiting = is_pending(&progress);
        writer.release();
        progress
    }

    /// Writes what waits, called from outside the session. The session takes a turn if this changes
    /// what it waits for.
    pub fn write_for_session(&self) -> Progress {
        self.write_with(self.writer())
    }

    /// Writes what waits. If another thread uses the stream, asks the connection's home to write
    /// instead.
    pub fn write_or_leave(self: &Arc<Self>) {
        match self.try_writer() {
            Some(writer) => drop(self.write_with(writer)),
            // That thread may have looked into the queue for the last time.
            None => self.home.help(self),
        }
    }

    fn write_with(&self, writer: MutexGuard<'_, Writer<S>>) -> Progress {
        let (mut writer, progress) = self.write_some(writer, false);
        let is_session_needed = match progress {
            // The plugin is told of room in its queue.
            _ if self.is_due() => true,
            // The session limits how long it waits for the client.
            Progress::At(OutputState::Pending { .. }) => !writer.is_session_waiting,
            // The session can read again, or has to wait for the answer to the close frame.
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
            let written = writer.write_some(&self.shared, gathers);
            if mem::take(&mut writer.has_drained) {
                self.due.set();
            }
            let progress = match written {
                // Other threads may want to read or write meanwhile.
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

    /// Runs a callback of the connection. The session cannot write while it runs.
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

    /// Called when the current turn takes long, or may. What its callbacks have sent and still send
    /// is written soon instead of at the end of the turn.
    pub fn stop_gathering(self: &Arc<Self>) {
        if self.shared.queue().stop_gathering() {
            self.tell_home(Caller::Callback);
        }
    }

    /// Whether the caller has to tell the flusher of the connection. From then on the flusher
    /// counts as told, until [`begin_help`](Self::begin_help).
    pub fn mark_scheduled(&self) -> bool {
        // A sender that finds the flag set has queued its frame before the flusher takes the queue,
        // because both take the queue's lock.
        !self.is_scheduled.load(Ordering::Relaxed)
            && !self.is_scheduled.swap(true, Ordering::AcqRel)
    }

    /// Called by the flusher before it writes. From now on senders have to tell it of the
    /// connection again.
    pub fn begin_help(&self) {
        // A swap and not a store, so that this thread sees what the senders did that found the flag
        // set.
        self.is_scheduled.swap(false, Ordering::AcqRel);
    }

    /// Whether the session cannot write when the client takes more, because a callback runs or a
    /// sender waits for room.
    pub fn needs_help(&self) -> bool {
        self.shared.queue().needs_help()
    }
}

fn is_pending(progress: &Progress) -> bool {
    matches!(progress, Progress::At(OutputState::Pending { .. }))
}
