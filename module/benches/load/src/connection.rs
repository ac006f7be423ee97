//! One WebSocket of the load generator.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::Result;

use crate::echo::{Echo, Received};
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
    /// How many messages that makes.
    messages: u64,
    received: Received,
    batches: VecDeque<Batch>,
}

/// Bytes of frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// To the server.
    pub sent: u64,
    /// From the server.
    pub received: u64,
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
            messages: 0,
            received: Received::default(),
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
        self.messages += messages;
        self.due = outgoing.position(self.messages);
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
    pub(crate) fn read(&mut self, buffer: &mut [u8], expected: &Echo) -> Result<u64> {
        match self.transport.read(buffer)? {
            None => Ok(0),
            Some(n) => self.received.take(&buffer[..n], expected),
        }
    }

    /// The bytes of all frames so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.sent,
            received: self.received.bytes(),
        }
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
