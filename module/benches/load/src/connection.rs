//! One WebSocket of the load generator.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::frames::Stream;
use crate::transport::Transport;

/// A WebSocket with messages in flight. Positions count the bytes of all frames since the opening
/// handshake.
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    /// Up to where the server has been sent frames.
    sent: u64,
    /// Up to where it is to be sent frames.
    due: u64,
    /// Up to where its echo has come.
    received: u64,
    batches: VecDeque<Batch>,
}

/// Messages that were sent together.
#[derive(Debug)]
struct Batch {
    sent_at: Instant,
    messages: u64,
}

impl Connection {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            sent: 0,
            due: 0,
            received: 0,
            batches: VecDeque::new(),
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Whether there is more to write than the socket took.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.sent < self.due || self.transport.has_unsent()
    }

    /// Sends `messages`, as much of them as the socket takes at present.
    pub(crate) fn send(&mut self, messages: u64, now: Instant, outgoing: &Stream) -> Result<()> {
        self.due += messages * outgoing.frame_len() as u64;
        self.batches.push_back(Batch {
            sent_at: now,
            messages,
        });
        self.write(outgoing)
    }

    /// Goes on writing.
    pub(crate) fn write(&mut self, outgoing: &Stream) -> Result<()> {
        let len = usize::try_from(self.due - self.sent)?;
        let taken = self.transport.write(outgoing.slice(self.sent, len))?;
        self.sent += taken as u64;
        Ok(())
    }

    /// Reads what there is, once, and gives the number of messages that are complete with it.
    pub(crate) fn read(&mut self, buffer: &mut [u8], expected: &Stream) -> Result<u64> {
        let Some(n) = self.transport.read(buffer)? else {
            return Ok(0);
        };
        ensure!(
            buffer[..n] == *expected.slice(self.received, n),
            "what comes back is not what was sent, somewhere after byte {}",
            self.received
        );
        let frame_len = expected.frame_len() as u64;
        let earlier = self.received / frame_len;
        self.received += n as u64;
        Ok(self.received / frame_len - earlier)
    }

    /// When the oldest messages were sent, for `messages` of them, batch by batch.
    pub(crate) fn settle(&mut self, mut messages: u64, mut record: impl FnMut(Instant, u64)) {
        while messages > 0
            && let Some(batch) = self.batches.front_mut()
        {
            let settled = batch.messages.min(messages);
            record(batch.sent_at, settled);
            messages -= settled;
            batch.messages -= settled;
            if batch.messages == 0 {
                self.batches.pop_front();
            }
        }
    }

    /// Says goodbye; the answer is not waited for.
    pub(crate) fn close(mut self, close_frame: &[u8]) -> Result<()> {
        self.transport.write(close_frame)?;
        Ok(())
    }
}
