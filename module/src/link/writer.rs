//! The writing half of a connection: frames taken from the outbox, and how far they have got.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Output;
use crate::httpd::transport::Transport;
use crate::outbox::{Closed, Frame, Outbox, recycle};

/// The stream of a connection and what is on its way into it. Behind a lock of the [`Link`](super::Link).
#[derive(Default)]
pub(super) struct Writer {
    /// There from the 101 response to the end of the session.
    pub(super) stream: Option<Transport>,
    /// Frames taken from the outbox, written up to `offset`.
    frames: Vec<u8>,
    offset: usize,
    /// Since when the client has taken nothing although something waits.
    pub(super) pending_since: Option<Instant>,
    /// Why nothing is written any more.
    pub(super) failure: Option<io::Error>,
}

impl Writer {
    /// That of a connection whose stream has gone back to httpd.
    pub(super) fn shut() -> Self {
        Self {
            failure: Some(io::ErrorKind::NotConnected.into()),
            ..Self::default()
        }
    }

    /// Writes until nothing waits (`true`) or the client takes no more (`false`).
    pub(super) fn write_all(&mut self, outbox: &Mutex<Outbox>) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else {
            return Ok(true);
        };
        loop {
            if self.offset == self.frames.len() {
                self.frames.clear();
                self.offset = 0;
                lock(outbox).take(&mut self.frames);
                if self.frames.is_empty() {
                    let is_drained = stream.flush()?;
                    if is_drained {
                        self.pending_since = None;
                    }
                    return Ok(is_drained);
                }
            }
            match stream.write(&self.frames[self.offset..]) {
                Ok(written) => {
                    self.offset += written;
                    self.pending_since = None;
                    lock(outbox).written(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The client takes no more for now.
    pub(super) fn pending(&mut self) -> Output {
        let now = Instant::now();
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
        if !matches!(self.write_all(outbox), Ok(true)) {
            return Ok(false);
        }
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        let Some(header) = lock(outbox).bypass(&frame)? else {
            return Ok(false);
        };
        let payload = frame.payload;
        let total = header.len() + payload.len();
        let mut written = stream.write_frame(&header, payload).unwrap_or(0);
        while (header.len()..total).contains(&written) {
            match stream.write(&payload[written - header.len()..]) {
                Ok(more) => written += more,
                Err(_) => break,
            }
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
            recycle(&mut self.frames);
        }
    }
}

fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}
