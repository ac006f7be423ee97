//! Ends a connection: with a close frame, at once, or because it is lost.

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
    /// Sends a close frame with this payload.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is closing already, or gone.
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

    /// Queues the last frame: the answer to the client's close frame, or a close frame of the
    /// server's own. The session writes it at the end of its turn. `closing` says how the
    /// connection is closed.
    pub fn answer_close(&self, closing: Closing, payload: &[u8]) {
        self.note_closing(|| closing);
        self.answer(Opcode::Close, payload);
    }

    /// Sends a close frame with this payload, unless one was sent already. The session then waits
    /// for the client's answer. This call never waits.
    pub fn say_goodbye(self: &Arc<Self>, closer: Closer, payload: &[u8]) {
        // On an error the connection is closing already, and the session only has to look again.
        let _ = self.close(closer, payload, Caller::Thread);
        self.wake();
    }

    /// Tells the client with a close frame that the server goes away. The session then waits only a
    /// short time for the client's answer.
    pub fn go_away(self: &Arc<Self>, closer: Closer, payload: &[u8]) {
        self.is_leaving.store(true, Ordering::Release);
        self.say_goodbye(closer, payload);
    }

    /// Whether [`go_away`](Self::go_away) was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Discards what waits for the client, and closes the connection at once with this payload of a
    /// close frame. The session learns of it in its next turn.
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

    /// Gives the connection up: nothing more is sent, and the session ends with this error.
    pub fn fail(&self, error: io::Error) {
        self.writer().fail(&self.shared, error);
        self.wake();
    }

    /// Accepts nothing more to send. What was accepted before is still written.
    pub fn seal(&self) {
        self.shared.seal();
    }

    /// Ends the connection for every thread that shares it, and gives its stream back to httpd.
    /// Senders get [`Closed`], those in progress too.
    pub fn shut(&self) {
        self.writer().shut(&self.shared);
        self.composer.clear();
    }
}
