//! Ends a session, and reports how it ended.

use std::io;

use super::{Next, Session};
use crate::httpd::log::Level;
use crate::output::Progress;
use crate::protocol::{Account, ClosePayload, Closer, Closing, End, Ending, OutputState};
use crate::session::application::{Application, Ended};
use crate::transport::Stream;

/// When a connection ends with at least this many bytes of unfinished messages and queued output,
/// the freed memory is worth giving back to the system.
const MUCH: usize = 1024 * 1024;

impl<A: Application, S: Stream> Session<A, S> {
    pub(super) fn lose(&mut self, error: &io::Error) -> Next {
        let text = format!("the connection is lost: {error}");
        self.application.log(Level::Debug, &text);
        self.output
            .note_closing(|| Closing::without_frame(closer_of(error)));
        self.connection.lose();
        Next::Ended
    }

    /// Tells a silent client why the connection ends, and does not wait for it.
    pub(super) fn give_up(&mut self) -> Next {
        self.close(Ending::Silent);
        let is_written = matches!(
            self.output.write(),
            Progress::At(OutputState::Written { .. })
        );
        if !is_written {
            self.output.fail(io::ErrorKind::TimedOut.into());
        }
        self.connection.lose();
        Next::Ended
    }

    /// Begins the closing handshake.
    pub(super) fn close(&mut self, ending: Ending) {
        let code = self.connection.code_for(ending);
        let text = format!("closing with {code}: {ending}");
        self.application.log(Level::Info, &text);
        let payload = ClosePayload::new(code, ending.reason());
        let closer = if ending == Ending::Flooding {
            Closer::Limit
        } else {
            Closer::Timeout
        };
        let closing = Closing::with_frame(closer, &payload);
        self.output.answer_close(closing, &payload);
    }

    /// The summary of the connection. Called when nothing more can be sent.
    fn account(&self) -> Account {
        let (sent, closing) = self.output.account();
        Account {
            closing: closing.unwrap_or_else(|| Closing::without_frame(Closer::Lost)),
            received: self.received,
            sent,
            open: self.began.elapsed(),
            ping: self.connection.round_trip(),
        }
    }

    pub(super) fn note(&self, end: End) {
        match end {
            End::Finished => {}
            End::OutputTimedOut => {
                self.output
                    .note_closing(|| Closing::without_frame(Closer::Timeout));
                let text = "the client takes no output; dropping the connection";
                self.application.log(Level::Info, text);
                self.output.fail(io::ErrorKind::TimedOut.into());
            }
            End::CloseTimedOut => {
                let text = "the client did not answer the close frame";
                self.application.log(Level::Debug, text);
            }
        }
    }
}

/// Who ends a connection that fails with this error.
fn closer_of(error: &io::Error) -> Closer {
    match error.kind() {
        io::ErrorKind::TimedOut => Closer::Timeout,
        io::ErrorKind::OutOfMemory => Closer::Error,
        io::ErrorKind::QuotaExceeded => Closer::Limit,
        _ => Closer::Lost,
    }
}

impl<A: Application, S: Stream> Drop for Session<A, S> {
    /// From here on sends return at once. Everything else stays valid until `disconnect` has
    /// returned. Then the stream is given back.
    fn drop(&mut self) {
        let held = self.output.held();
        self.output.seal();
        let account = self.account();
        let ended = Ended {
            closing: &account.closing,
            is_clean: self.connection.is_clean(),
        };
        self.application
            .in_callbacks(|| self.application.disconnect(&ended));
        self.application.ended(&account);
        self.output.count_sent();
        self.output.meter().closed(&account.closing);
        self.output.shut();
        if held >= MUCH {
            self.connection.give_up();
            self.application.freed_much();
        }
    }
}
