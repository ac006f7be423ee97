//! Messages that are written piece by piece.

use super::{SendError, Sender};
use crate::abi::{
    MESSAGE_TYPE_BINARY, MESSAGE_TYPE_TEXT, SEND_ACCEPTED, SEND_BUSY, WRITE_END, WRITE_FLUSH,
    WRITE_MORE, WriteServer,
};
use crate::{Close, CloseCode, MessageKind};
use std::ffi::c_int;
use std::io::{self, Write};

/// A message that is sent while it is written, from [`Sender::begin`].
///
/// Write to it with the functions of [`Write`], then call [`finish`](Self::finish). It may be kept
/// in the state of the connection, or moved to a thread.
///
/// **A writer that is dropped without `finish` closes the connection** with 1011, because the
/// client must not take the beginning of a message for all of it.
#[derive(Debug)]
#[must_use = "a message that is not finished closes the connection"]
pub struct MessageWriter {
    sender: Sender,
    kind: MessageKind,
    state: State,
    /// The beginning of a character of a text.
    cut: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// The host sends what is written.
    Host,
    /// The host sends only whole messages.
    Whole(Vec<u8>),
    /// A part of the message is missing. Dropping the writer closes the connection.
    Failed,
    /// The message is complete, or the connection is closing or gone.
    Done,
}

impl Sender {
    /// Begins a message that is sent while you write it, for messages that are too long for memory.
    ///
    /// ```
    /// use std::io::{self, Write};
    /// use websocket_plugin::{MessageKind, Sender};
    ///
    /// fn count(sender: &Sender) -> io::Result<()> {
    ///     let mut message = sender.begin(MessageKind::Text)?;
    ///     for number in 1..1_000_000 {
    ///         writeln!(message, "{number}")?;
    ///     }
    ///     Ok(message.finish()?)
    /// }
    /// ```
    ///
    /// The client gets one message, whatever the number of writes. The module collects up to 32 KiB
    /// and sends them as a fragment of the message (RFC 6455, section 5.4); where the client has
    /// agreed to compression, it compresses the message. It holds 64 KiB for that, or 600 KiB with
    /// compression, besides the queue. Writing waits while the queue is full, as
    /// [`send`](Self::send) does.
    ///
    /// **Other messages to this client wait until the message is finished**, also those of topics,
    /// and then follow in order. As many bytes may wait as the queue holds (`WebSocketSendQueue`).
    /// Beyond that, it is as with a client that does not keep up: `send` waits for the end of the
    /// message, for as long as its writer goes on, [`try_send`](Self::try_send) returns
    /// [`SendError::Full`], and a message of a topic closes the connection with 1013. So finish
    /// soon, and do not send so much while you hold a writer. Pings and close frames do not wait. A
    /// close frame ends the connection in the middle of the message, and what waits behind that is
    /// not sent.
    ///
    /// In an [async plugin](crate#async-plugins), writing would block a thread of the runtime:
    /// write in `tokio::task::spawn_blocking`.
    ///
    /// If another message is sent or begun when nothing was written for the `Timeout`, the
    /// connection is closed with 1011: a writer that is lost must not hold up others for ever.
    ///
    /// Where the host has no such function (the C module, and older versions of `mod_websocket`),
    /// the writer collects the whole message in memory, and `finish` sends it.
    ///
    /// # Errors
    ///
    /// * [`SendError::Busy`]: another message to this client is being written.
    /// * [`SendError::Closed`]: the connection is closing or gone.
    pub fn begin(&self, kind: MessageKind) -> Result<MessageWriter, SendError> {
        let number = match kind {
            MessageKind::Text => MESSAGE_TYPE_TEXT,
            MessageKind::Binary => MESSAGE_TYPE_BINARY,
        };
        let begun = self.with_table(|server| {
            // SAFETY: `with_table` keeps the table valid.
            let table = unsafe { WriteServer::current(server)? };
            // SAFETY: as above.
            Some(unsafe { (table.begin)(server, number) })
        });
        let state = match begun.ok_or(SendError::Closed)? {
            None => State::Whole(Vec::new()),
            Some(SEND_ACCEPTED) => State::Host,
            Some(SEND_BUSY) => return Err(SendError::Busy),
            Some(_) => return Err(SendError::Closed),
        };
        Ok(MessageWriter {
            sender: self.clone(),
            kind,
            state,
            cut: Vec::new(),
        })
    }
}

impl MessageWriter {
    /// Sends the rest, and ends the message.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`]: the connection is closing or gone. It is also closed if the end of a
    /// text cuts a character, and if a write failed.
    pub fn finish(mut self) -> Result<(), SendError> {
        if !self.cut.is_empty() {
            // Dropping the writer closes the connection.
            return Err(SendError::Closed);
        }
        // On an error, dropping the writer closes the connection.
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Host => self.transmit(&[], WRITE_END)?,
            State::Whole(bytes) => match self.kind {
                MessageKind::Text => {
                    let text = str::from_utf8(&bytes).map_err(|_| SendError::Closed)?;
                    self.sender.send(text)?;
                }
                MessageKind::Binary => self.sender.send(bytes)?,
            },
            State::Failed | State::Done => return Err(SendError::Closed),
        }
        self.state = State::Done;
        Ok(())
    }

    /// Closes the connection: the client must not take what it got for the whole message.
    fn give_up(&mut self) {
        self.state = State::Done;
        let close = Close::new(CloseCode::INTERNAL_ERROR, "incomplete message");
        // The connection may be closing already.
        let _ = self.sender.close(close);
    }

    fn transmit(&self, bytes: &[u8], how: c_int) -> Result<(), SendError> {
        let written = self.sender.with_table(|server| {
            // SAFETY: `with_table` keeps the table valid.
            let table = unsafe { WriteServer::current(server)? };
            // SAFETY: as above, and the host copies the bytes.
            Some(unsafe { (table.write)(server, bytes.as_ptr(), bytes.len(), how) })
        });
        match written.flatten() {
            Some(SEND_ACCEPTED) => Ok(()),
            _ => Err(SendError::Closed),
        }
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.state {
            State::Host if bytes.is_empty() => Ok(()),
            State::Host => self.transmit_or_close(bytes, WRITE_MORE),
            State::Whole(whole) => {
                whole.extend_from_slice(bytes);
                Ok(())
            }
            State::Failed | State::Done => Err(SendError::Closed.into()),
        }
    }

    fn transmit_or_close(&mut self, bytes: &[u8], how: c_int) -> io::Result<()> {
        let sent = self.transmit(bytes, how);
        if sent.is_err() {
            self.give_up();
        }
        Ok(sent?)
    }

    /// Adds bytes to a text. Those of a character at its end that is not complete wait for the
    /// rest.
    fn add_text(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes;
        while !self.cut.is_empty() {
            let Some((&first, rest)) = bytes.split_first() else {
                return Ok(());
            };
            self.cut.push(first);
            bytes = rest;
            match valid_prefix(&self.cut)? {
                0 => {}
                _ => {
                    let character = std::mem::take(&mut self.cut);
                    self.add(&character)?;
                }
            }
        }
        let (whole, cut) = bytes.split_at(valid_prefix(bytes)?);
        self.add(whole)?;
        self.cut.extend_from_slice(cut);
        Ok(())
    }
}

/// The number of bytes that are whole characters.
fn valid_prefix(bytes: &[u8]) -> io::Result<usize> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

impl Write for MessageWriter {
    /// Adds to the message. It takes all bytes.
    ///
    /// # Errors
    ///
    /// * `BrokenPipe`: the connection is closing or gone.
    /// * `InvalidData`: a text is not UTF-8.
    ///
    /// After an error the message cannot be completed: further calls fail, and dropping the writer
    /// closes the connection with 1011, unless it is closed before.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let added = match self.kind {
            MessageKind::Text => self.add_text(bytes),
            MessageKind::Binary => self.add(bytes),
        };
        if added.is_err() && !matches!(self.state, State::Done) {
            self.state = State::Failed;
        }
        added.map(|()| bytes.len())
    }

    /// Sends what was written so far, so that the client gets it before the message ends.
    fn flush(&mut self) -> io::Result<()> {
        match self.state {
            State::Host => self.transmit_or_close(&[], WRITE_FLUSH),
            State::Whole(_) => Ok(()),
            State::Failed | State::Done => Err(SendError::Closed.into()),
        }
    }
}

impl Drop for MessageWriter {
    fn drop(&mut self) {
        if !matches!(self.state, State::Done) {
            self.give_up();
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Closed => io::ErrorKind::BrokenPipe,
            SendError::PingTooLong => io::ErrorKind::InvalidInput,
            SendError::Full | SendError::Busy => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}
