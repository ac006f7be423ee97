//! Ends a connection: with a close frame, at once, or as it is lost.

use std::io;
use std::sync::Arc;

use super::caller::Caller;
use super::frame::Frame;
use super::framing;
use super::object::Output;
use super::queue::Closed;
use crate::protocol::{Closer, Closing, Opcode};
use crate::sync::Ordering;
use crate::transport::Stream;

impl<S: Stream> Output<S> {
    /// Closes the connection with the payload of a close frame.
    ///
    /// # Errors
    ///
    /// [`Closed`] when it is closing already, or gone.
    pub fn close(
        self: &Arc<Self>,
        closer: Closer,
        payload: &[u8],
        caller: Caller,
    ) -> Result<(), Closed> {
        framing::plain(Opcode::Close, payload, |frame| {
            let closes = Some(closer);
            // A close frame needs no room.
            self.offer_frame(Frame { closes, ..frame }, caller)
                .map(drop)
        })
    }

    /// Queues the last frame, which the session writes at the end of its turn: the answer to a
    /// close frame of the client, or one of the server's own. `closing` is how the connection is
    /// closed.
    pub fn answer_close(&self, closing: Closing, payload: &[u8]) {
        self.note_closing(|| closing);
        self.answer(Opcode::Close, payload);
    }

    /// Sends a close frame with this payload, unless there has been one, and has the session wait
    /// for the answer. Never waits itself.
    pub fn say_goodbye(self: &Arc<Self>, closer: Closer, payload: &[u8]) {
        // Closed already: the session only has to look again.
        let _ = self.close(closer, payload, Caller::Thread);
        self.wake();
    }

    /// Tells the client that the server goes away, with the payload of a close frame, and the
    /// session not to wait for it for long.
    pub fn go_away(self: &Arc<Self>, closer: Closer, payload: &[u8]) {
        self.is_leaving.store(true, Ordering::Release);
        self.say_goodbye(closer, payload);
    }

    /// Whether [`go_away`](Self::go_away) was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Forgets what waits for the client, and closes the connection at once with `payload`. The
    /// session learns of it in its next turn.
    pub fn cut(&self, payload: &[u8]) {
        let mut writer = self.writer();
        if writer.failure().is_none() && !self.is_cut.swap(true, Ordering::AcqRel) {
            framing::plain(Opcode::Close, payload, |frame| {
                let closes = Some(Closer::Limit);
                writer.cut(&self.shared, Frame { closes, ..frame });
            });
        }
        drop(writer);
        self.wake();
    }

    /// Whether [`cut`](Self::cut) was called.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// Gives the connection up: nothing is sent any more, and the session ends with this error.
    pub fn fail(&self, error: io::Error) {
        self.writer().fail(&self.shared, error);
        self.wake();
    }

    /// Accepts nothing more for sending; what was accepted is still written.
    pub fn seal(&self) {
        self.shared.seal();
    }

    /// Ends the connection for all who share it and gives its stream back to httpd. Senders that
    /// are under way or come later get [`Closed`].
    pub fn shut(&self) {
        self.writer().shut(&self.shared);
    }
}
