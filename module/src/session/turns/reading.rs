//! Reads what the client has sent, and hands it over.

use std::io;
use std::time::Instant;

use super::{Flow, Rest, Session, is_full};
use crate::protocol::{Ending, Input};
use crate::session::application::Application;
use crate::session::handler::{Handled, Handler};
use crate::session::held::Held;
use crate::session::pace::Pace;
use crate::transport::Stream;

impl<A: Application, S: Stream> Session<A, S> {
    /// Reads as much as one turn may. Returns what may be left.
    pub(super) fn read(&mut self, buffer: &mut [u8], now: Instant) -> Rest {
        while self.connection.is_reading() {
            let flow = self.flow();
            if flow == Flow::Held {
                return Rest::Paused;
            }
            match self.read_once(buffer, now, flow == Flow::Dropped) {
                Ok(true) => {
                    if is_full(&self.output.write()) {
                        return Rest::More;
                    }
                }
                // A callback has paused the connection, and may have closed it since.
                Ok(false) if self.held.is_some() && self.output.is_paused() => return Rest::Paused,
                Ok(false) if self.held.is_some() => return Rest::More,
                Ok(false) => return Rest::Nothing,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Rest::Nothing,
                    io::ErrorKind::ResourceBusy => return Rest::HeldBack,
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        self.output.fail(error);
                        return Rest::Nothing;
                    }
                },
            }
            if self.resumes(now).is_some() {
                return Rest::Limited;
            }
            if !self.pace.goes_on() {
                return Rest::More;
            }
        }
        Rest::Nothing
    }

    /// Reads and handles the bytes of one system call, or those that were read before a pause. With
    /// `drops`, the plugin gets no message. Returns whether there may be more.
    fn read_once(&mut self, buffer: &mut [u8], now: Instant, drops: bool) -> io::Result<bool> {
        let before = self.received.messages;
        let (handled, may_be_more) = self.handle_some(buffer, now, drops)?;
        if let Some(limiter) = &mut self.limiter {
            limiter.count(self.received.messages - before);
        }
        if handled == Handled::TooMany {
            self.close(Ending::Flooding);
            self.connection.finish();
        }
        if !self.connection.is_reading() {
            self.held = None;
            self.output.seal();
        }
        Ok(may_be_more)
    }

    fn handle_some(
        &mut self,
        buffer: &mut [u8],
        now: Instant,
        drops: bool,
    ) -> io::Result<(Handled, bool)> {
        let Self {
            connection,
            output,
            application,
            pace,
            received,
            limiter,
            held,
            ..
        } = self;
        let pace: &Pace = pace;
        let limiter = limiter.as_ref();
        let most = limiter.map_or(u64::MAX, |limiter| limiter.most(now));
        let handler = Handler {
            output,
            application,
            traces: application.traces_frames(),
            last: received.messages.saturating_add(most),
            in_parts: connection.is_in_parts(),
            drops,
            pace,
        };
        let mut handled = Handled::All;
        if let Some(mut bytes) = held.take() {
            let mut input = bytes.input();
            handler.in_callbacks(|| {
                handled = handler.handle_input(connection, &mut input, received);
            });
            let left = input.rest().len();
            bytes.leave(left);
            *held = (left > 0 || connection.is_pending()).then_some(bytes);
            return Ok((handled, true));
        }
        let (read, may_be_more) = if let Some(space) = connection.spare() {
            let (read, more) = output.read(pace.limit(space))?;
            handler.in_callbacks(|| {
                handled = handler.handle_filled(connection, read, received);
            });
            (read, more)
        } else {
            let most = limiter.map_or(usize::MAX, |limiter| limiter.most_bytes(now));
            let room = (buffer.len() - Input::BEHIND).min(most);
            let (read, more) = output.read(pace.limit(&mut buffer[..room]))?;
            let mut input = Input::new(buffer, read);
            handler.in_callbacks(|| {
                handled = handler.handle_input(connection, &mut input, received);
            });
            let is_left = !input.is_empty() || connection.is_pending();
            if handled == Handled::UpToPause && is_left {
                *held = Some(Held::copy(input.rest())?);
            }
            (read, more)
        };
        if read == 0 {
            connection.finish();
        } else {
            connection.heard();
        }
        Ok((handled, may_be_more))
    }
}
