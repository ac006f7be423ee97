//! The writing half of a connection: frames taken from the outbox, and how far they have got.

use std::io;
use std::time::{Duration, Instant};

use super::outbox::{Closed, FRAMES, Frame, Outbox};
use crate::buffers;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Where frames are written to, without ever waiting. Its other half, what is read from, is no
/// business of the writer.
pub(super) trait Stream {
    /// Writes what the connection takes and returns how many bytes that were; fails with
    /// [`io::ErrorKind::WouldBlock`] if it takes none now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// The same for a frame whose header and payload lie apart.
    fn write_frame(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize>;

    /// Pushes on what was written but is held back. Returns whether nothing is left to push.
    fn flush(&mut self) -> io::Result<bool>;

    /// Whether the client has taken anything since this was last asked. It may have without that it shows.
    fn has_progressed(&mut self) -> bool;

    /// How long to wait before trying again when the client has taken nothing for so long; `None`: the
    /// connection's descriptor becomes writable.
    fn retry_interval(&self, pending: Duration) -> Option<Duration>;

    /// Gives up a client that is gone or does not read.
    fn abort(&mut self);
}

/// How far the output of a connection has got.
#[derive(Debug)]
pub enum Output {
    /// Everything is written.
    Drained,
    /// The client takes no more for now.
    Pending {
        /// Nor has it since then.
        since: Instant,
        /// When to try again; `None`: when the connection's descriptor becomes writable.
        retry: Option<Instant>,
    },
    /// The connection is lost.
    Broken(io::Error),
}

/// How far one go at writing has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing waits any more.
    All,
    /// The client takes no more for now.
    Taken,
    /// Enough for one go.
    Enough,
}

/// So many bytes are written in one go, during which others have to wait for the stream.
const MOST_WRITTEN: usize = 1024 * 1024;

/// The same of a message that is written from where it lies: the rest has to be copied.
const MOST_WRITTEN_DIRECTLY: usize = 4 * MOST_WRITTEN;

/// The stream of a connection and what is on its way into it. Behind a lock of the
/// [`Outlet`](super::outlet::Outlet).
pub(super) struct Writer<S> {
    /// There from the 101 response to the end of the session.
    pub(super) stream: Option<S>,
    /// Frames taken from the outbox, written up to `offset`.
    frames: Vec<u8>,
    offset: usize,
    /// Since when the client has taken nothing although something waits.
    pending_since: Option<Instant>,
    /// Why nothing is written any more.
    failure: Option<io::Error>,
}

impl<S: Stream> Writer<S> {
    /// That of a connection whose stream is not there yet.
    pub(super) fn new() -> Self {
        Self {
            stream: None,
            frames: Vec::new(),
            offset: 0,
            pending_since: None,
            failure: None,
        }
    }

    /// That of a connection whose stream has gone back to httpd.
    pub(super) fn shut() -> Self {
        Self {
            failure: Some(io::ErrorKind::NotConnected.into()),
            ..Self::new()
        }
    }

    /// Why nothing is written any more, if so.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failure.as_ref().map(copy)
    }

    /// Gives the connection up, unless that has happened already.
    pub(super) fn fail(&mut self, outbox: &Mutex<Outbox>, error: io::Error) {
        self.failure.get_or_insert(error);
        if let Some(stream) = &mut self.stream {
            stream.abort();
        }
        lock(outbox).discard();
    }

    /// Writes as much as is done in one go.
    pub(super) fn write_some(&mut self, outbox: &Mutex<Outbox>) -> io::Result<Written> {
        let Some(stream) = &mut self.stream else {
            return Ok(Written::All);
        };
        let mut left = MOST_WRITTEN;
        while left > 0 {
            if self.offset == self.frames.len() {
                self.frames.clear();
                self.offset = 0;
                lock(outbox).take(&mut self.frames);
                if self.frames.is_empty() {
                    let is_drained = stream.flush()?;
                    if is_drained {
                        self.pending_since = None;
                        return Ok(Written::All);
                    }
                    return Ok(Written::Taken);
                }
            }
            match stream.write(&self.frames[self.offset..]) {
                Ok(written) => {
                    self.offset += written;
                    self.pending_since = None;
                    lock(outbox).written(written);
                    left = left.saturating_sub(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written::Taken);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Written::Enough)
    }

    /// The client takes no more for now.
    pub(super) fn pending(&mut self) -> Output {
        let now = Instant::now();
        if self.stream.as_mut().is_some_and(S::has_progressed) {
            self.pending_since = None;
        }
        let since = *self.pending_since.get_or_insert(now);
        let stream = self.stream.as_ref();
        let interval = stream.and_then(|stream| stream.retry_interval(now - since));
        Output::Pending {
            since,
            retry: interval.map(|interval| now + interval),
        }
    }

    /// Writes a message at once, straight from where it lies, if nothing waits before it. What the
    /// client does not take is kept, to be written first. Returns whether the message was accepted;
    /// if not, it is to be queued.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection takes no more messages.
    pub(super) fn write_directly(
        &mut self,
        outbox: &Mutex<Outbox>,
        frame: Frame<'_>,
    ) -> Result<bool, Closed> {
        // A failure shows again when the queue is written.
        if self.failure.is_some() || !matches!(self.write_some(outbox), Ok(Written::All)) {
            return Ok(false);
        }
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        if !lock(outbox).bypass(&frame)? {
            return Ok(false);
        }
        let Frame {
            header, payload, ..
        } = frame;
        let total = header.len() + payload.len();
        let mut written = stream.write_frame(header, payload).unwrap_or(0);
        while (header.len()..total.min(MOST_WRITTEN_DIRECTLY)).contains(&written) {
            match stream.write(&payload[written - header.len()..]) {
                Ok(more) => written += more,
                Err(_) => break,
            }
        }
        if self.frames.try_reserve(total - written).is_err() {
            self.fail(outbox, io::ErrorKind::OutOfMemory.into());
            return Err(Closed);
        }
        let header_written = written.min(header.len());
        self.frames.extend_from_slice(&header[header_written..]);
        self.frames
            .extend_from_slice(&payload[written - header_written..]);
        lock(outbox).written(written);
        Ok(true)
    }

    /// Frees memory that an idle connection does not need.
    pub(super) fn release(&mut self) {
        if self.frames.is_empty() {
            buffers::recycle(&FRAMES, &mut self.frames);
        }
    }
}

pub(super) fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same error once more; system errors keep their code.
pub(super) fn copy(error: &io::Error) -> io::Error {
    let code = error.raw_os_error();
    code.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
