//! When a connection asks the client for a sign of life, and when it ends by itself.
//!
//! Time is that at which a turn begins: what has arrived by then is read before anything here is
//! decided, so that a callback that takes long is not taken for a client that is silent.

mod ending;
mod millis;
#[cfg(test)]
mod tests;

use std::mem;
use std::time::{Duration, Instant};

use super::OutputState;
pub use ending::Ending;
use millis::Millis;

/// What a client takes at least to prove that it lives. The ping alone proves nothing: its system
/// takes that although the client hangs. A ping is 6 bytes long, or up to 80 over TLS.
const PROOF: u64 = 128;

/// When to look again whether a client has anything to say, of which more was to be read. It may
/// not be read from at once, as its messages are limited.
const RECHECK: Duration = Duration::from_millis(100);

/// An idle connection looks so often within the idle timeout whether something was sent, because
/// senders note no time.
const LOOKS: u32 = 4;

/// The times of a connection. `None` switches a rule off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifespan {
    /// A client of which nothing was heard, and that has taken nothing, for so long is pinged.
    pub ping_interval: Option<Duration>,
    /// The connection ends if so long after a ping the client has still sent and taken nothing.
    pub ping_timeout: Duration,
    /// The connection ends after so long without a message in either direction, or a quarter later.
    pub idle_timeout: Option<Duration>,
    /// The connection ends if a frame or message has begun and nothing more of it arrives for so
    /// long.
    pub message_timeout: Option<Duration>,
    /// The connection ends after so long.
    pub lifetime: Option<Duration>,
}

/// What is due on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A ping with this payload.
    Ping([u8; 4]),
    /// The end of the connection.
    End(Ending),
}

/// What a connection asks of its output, which threads use meanwhile. It asks only when something
/// may be due.
pub trait Outgoing {
    /// A number that grows with each message, or fragment of one, that is accepted for sending.
    fn messages_sent(&self) -> u64;

    /// How many bytes the client's system has taken so far, if that can be known.
    fn bytes_taken(&self) -> Option<u64>;
}

/// What the client has sent that a turn has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Nothing.
    Nothing,
    /// Something, perhaps.
    Some,
    /// The same, and it is not read before the client takes output.
    HeldBack,
    /// The same, and it is not read before the plugin resumes.
    Paused,
}

/// What a turn has found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Findings {
    /// How far the output has got.
    pub(super) output: OutputState,
    /// What of the client's bytes was not read.
    pub(super) unread: Unread,
    /// A number that grows with each message, or part of one, that the plugin gets.
    pub(super) received: u64,
    /// If a frame or message has begun and not ended: a number that changes when more arrives.
    pub(super) unfinished: Option<u32>,
}

/// The times of a connection, and what they are measured from.
#[derive(Debug)]
pub(super) struct Keepalive {
    ping_interval: Millis,
    ping_timeout: Millis,
    idle_timeout: Millis,
    message_timeout: Millis,
    ends: Option<Instant>,
    /// When the turn that goes on began.
    now: Instant,
    /// When something may be due. Until then nothing is looked at.
    check_at: Option<Instant>,
    /// When bytes of the client were last read.
    heard: Instant,
    /// The last ping, until the client has sent anything.
    ping: Option<Ping>,
    ping_number: u32,
    /// The time from the last ping that was answered to its answer, in microseconds.
    round_trip: Option<u32>,
    /// Nobody has taken it yet.
    is_new: bool,
    /// Messages in both directions at the last look.
    messages: u64,
    idle_since: Instant,
    /// What was found last of an unfinished frame or message, and since when it has not changed.
    progress: u32,
    progress_at: Instant,
    /// The client was not read from, as it takes no output or the plugin had paused.
    was_paused: bool,
    /// The plugin had paused at the end of the last turn.
    was_paused_by_plugin: bool,
}

/// A ping that the client has not answered.
#[derive(Clone, Copy, Debug)]
struct Ping {
    sent: Instant,
    /// When the client last proved that it takes what was written before.
    taken: Instant,
    /// So many bytes it had taken then.
    bytes: u64,
    is_answered: bool,
}

/// When to look again; `None`: never.
type Look = Option<Instant>;

impl Keepalive {
    /// The times of a connection that begins `now`.
    pub(super) fn new(lifespan: &Lifespan, now: Instant) -> Self {
        let ends = lifespan
            .lifetime
            .and_then(|lifetime| now.checked_add(lifetime));
        let mut keepalive = Self {
            ping_interval: Millis::of(lifespan.ping_interval),
            ping_timeout: Millis::of(Some(lifespan.ping_timeout)),
            idle_timeout: Millis::of(lifespan.idle_timeout),
            message_timeout: Millis::of(lifespan.message_timeout),
            ends,
            now,
            check_at: ends,
            heard: now,
            ping: None,
            ping_number: 0,
            round_trip: None,
            is_new: false,
            messages: 0,
            idle_since: now,
            progress: 0,
            progress_at: now,
            was_paused: false,
            was_paused_by_plugin: false,
        };
        keepalive.look_at(keepalive.ping_interval.after(now));
        keepalive.look_at(keepalive.idle_timeout.part(LOOKS).after(now));
        keepalive
    }

    /// A turn begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.now = now;
    }

    /// When the turn that goes on began.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Bytes of the client were read.
    pub(super) fn heard(&mut self) {
        self.heard = self.now;
    }

    /// A pong was read.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        let number = self.ping_number.to_be_bytes();
        let ping = self.ping.as_mut().filter(|ping| !ping.is_answered);
        if let Some(ping) = ping.filter(|_| payload == number) {
            ping.is_answered = true;
            let took = self.now.saturating_duration_since(ping.sent);
            self.round_trip = Some(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            self.is_new = true;
        }
    }

    /// How long the client took to answer the last ping that it has answered.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
            .map(|microseconds| Duration::from_micros(microseconds.into()))
    }

    /// The same, once for each answer.
    pub(super) fn take_round_trip(&mut self) -> Option<Duration> {
        mem::take(&mut self.is_new).then(|| self.round_trip())?
    }

    /// When to look next whether something is due.
    pub(super) fn check_at(&self) -> Option<Instant> {
        self.check_at
    }

    /// What is due, if anything is. After an end nothing more is.
    pub(super) fn due(&mut self, findings: Findings, outgoing: &impl Outgoing) -> Option<Due> {
        self.note_progress(findings);
        let is_paused = findings.unread == Unread::Paused;
        if is_paused || self.was_paused_by_plugin {
            self.note_pause(is_paused);
            self.was_paused_by_plugin = is_paused;
        }
        if self.check_at.is_none_or(|at| self.now < at) {
            return None;
        }
        self.check_at = None;
        match self.check(findings, outgoing) {
            Ok(ping) => ping,
            Err(ending) => {
                self.check_at = None;
                Some(Due::End(ending))
            }
        }
    }

    fn check(
        &mut self,
        findings: Findings,
        outgoing: &impl Outgoing,
    ) -> Result<Option<Due>, Ending> {
        let look = self.check_age()?;
        self.look_at(look);
        let look = self.check_progress(findings)?;
        self.look_at(look);
        let look = self.check_idleness(findings, outgoing)?;
        self.look_at(look);
        let (ping, look) = self.check_silence(findings, outgoing)?;
        self.look_at(look);
        Ok(ping)
    }

    fn check_age(&self) -> Result<Look, Ending> {
        match self.ends {
            Some(ends) if ends <= self.now => Err(Ending::Aged),
            ends => Ok(ends),
        }
    }

    /// The plugin does not let the client be read from, or did not until now. Its silence says
    /// nothing then, and a pong that is read late says nothing about its round trip.
    #[cold]
    fn note_pause(&mut self, goes_on: bool) {
        self.idle_since = self.now;
        if let Some(ping) = &mut self.ping {
            ping.is_answered = true;
            if !goes_on {
                // The pong may be on its way only now.
                ping.taken = self.now;
            }
        }
    }

    /// Notes whether more has arrived of an unfinished frame or message. While the client takes no
    /// output, or the plugin has paused, nothing more can.
    fn note_progress(&mut self, findings: Findings) {
        let Some(progress) = findings.unfinished else {
            return;
        };
        let is_paused = findings.output.is_full()
            || matches!(findings.unread, Unread::HeldBack | Unread::Paused);
        if progress != self.progress || is_paused || self.was_paused {
            self.progress = progress;
            self.progress_at = self.now;
            self.was_paused = is_paused;
            self.look_at(self.message_timeout.after(self.now));
        }
    }

    fn check_progress(&self, findings: Findings) -> Result<Look, Ending> {
        let due = findings
            .unfinished
            .and_then(|_| self.message_timeout.after(self.progress_at));
        match due {
            Some(due) if due > self.now => Ok(Some(due)),
            Some(_) if findings.unread == Unread::Some => Ok(Some(self.now + RECHECK)),
            Some(_) => Err(Ending::Stuck),
            None => Ok(None),
        }
    }

    fn check_idleness(
        &mut self,
        findings: Findings,
        outgoing: &impl Outgoing,
    ) -> Result<Look, Ending> {
        if self.idle_timeout.is_off() {
            return Ok(None);
        }
        let messages = findings.received.wrapping_add(outgoing.messages_sent());
        let is_busy = matches!(findings.output, OutputState::Pending { .. });
        if is_busy || messages != self.messages {
            self.messages = messages;
            self.idle_since = self.now;
        }
        match self.idle_timeout.after(self.idle_since) {
            Some(due) if due <= self.now => Err(Ending::Idle),
            due => {
                let look = self.idle_timeout.part(LOOKS).after(self.now);
                Ok(due.into_iter().chain(look).min())
            }
        }
    }

    /// Whether a ping is due. Everything the client sends or takes is a sign of life, so that one
    /// that takes a long message slowly is not cut off, although the ping waits behind the message.
    fn check_silence(
        &mut self,
        findings: Findings,
        outgoing: &impl Outgoing,
    ) -> Result<(Option<Due>, Look), Ending> {
        if self.ping_interval.is_off() {
            return Ok((None, None));
        }
        let taken = match findings.output {
            OutputState::Pending { since, .. } => since.min(self.now),
            OutputState::Written { .. } => self.heard,
        };
        if let Some(ping) = self.ping.filter(|ping| self.heard <= ping.sent) {
            let look = self.check_answer(ping, taken, findings, outgoing)?;
            return Ok((None, look));
        }
        self.ping = None;
        let due = self.ping_interval.after(self.heard.max(taken));
        if due.is_none_or(|due| due > self.now) {
            return Ok((None, due));
        }
        self.ping = Some(Ping {
            sent: self.now,
            taken: self.now,
            bytes: outgoing.bytes_taken().unwrap_or(0),
            is_answered: false,
        });
        self.ping_number = self.ping_number.wrapping_add(1);
        let ping = Due::Ping(self.ping_number.to_be_bytes());
        // An answer may make the next ping due earlier than the end of a connection without one.
        let next = self.ping_interval.after(self.now);
        let look = self.ping_timeout.after(self.now).into_iter().chain(next);
        Ok((Some(ping), look.min()))
    }

    /// Whether a client that has sent nothing since the last ping is still waited for.
    fn check_answer(
        &mut self,
        mut ping: Ping,
        taken: Instant,
        findings: Findings,
        outgoing: &impl Outgoing,
    ) -> Result<Look, Ending> {
        ping.taken = ping.taken.max(taken);
        if findings.unread == Unread::Paused {
            return self.check_taken(ping, outgoing);
        }
        let mut due = self.ping_timeout.after(ping.taken);
        if due.is_some_and(|due| due <= self.now) {
            let bytes = outgoing.bytes_taken().unwrap_or(ping.bytes);
            if bytes > ping.bytes + PROOF {
                (ping.taken, ping.bytes) = (self.now, bytes);
                due = self.ping_timeout.after(self.now);
            } else if findings.unread == Unread::Some {
                due = Some(self.now + RECHECK);
            } else {
                return Err(Ending::Silent);
            }
        }
        self.ping = Some(ping);
        Ok(due)
    }

    /// Whether a client is still waited for whose pongs are not read. It lives if its system takes
    /// pings: nothing else can be known. If the system does not tell, the timeout for output has to
    /// find a client that is gone.
    fn check_taken(&mut self, ping: Ping, outgoing: &impl Outgoing) -> Result<Look, Ending> {
        let due = self.ping_timeout.after(ping.taken);
        if due.is_some_and(|due| due > self.now) {
            self.ping = Some(ping);
            return Ok(due);
        }
        if outgoing
            .bytes_taken()
            .is_some_and(|bytes| bytes <= ping.bytes)
        {
            return Err(Ending::Silent);
        }
        self.ping = None;
        self.heard = self.now;
        Ok(self.ping_interval.after(self.now))
    }

    fn look_at(&mut self, time: Option<Instant>) {
        self.check_at = self.check_at.into_iter().chain(time).min();
    }
}
