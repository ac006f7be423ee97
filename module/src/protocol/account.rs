//! What a connection has carried, and who ended it: for logs and counters.

use std::fmt;
use std::time::Duration;

/// The code that stands for a close frame without one (RFC 6455, section 7.4.1).
const NO_CODE: u16 = 1005;

/// The code that stands for a connection that ended without a close frame (section 7.4.1).
const ABNORMAL: u16 = 1006;

/// Messages in one direction. Control frames do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub messages: u64,
    /// The bytes of their payloads, as the plugin sees them: not compressed, without headers.
    pub bytes: u64,
}

impl Traffic {
    /// One message of so many bytes.
    #[inline]
    #[must_use]
    pub const fn message(bytes: usize) -> Self {
        Self {
            messages: 1,
            bytes: bytes as u64,
        }
    }

    /// What has come since it was `earlier`.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            messages: self.messages.wrapping_sub(earlier.messages),
            bytes: self.bytes.wrapping_sub(earlier.bytes),
        }
    }

    /// Adds other messages of the same direction.
    #[inline]
    pub const fn add(&mut self, more: Self) {
        self.messages = self.messages.wrapping_add(more.messages);
        self.bytes = self.bytes.wrapping_add(more.bytes);
    }
}

/// Who ended a connection, and if it was the server, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closer {
    /// The client, with a close frame.
    Client,
    /// The plugin.
    Plugin,
    /// The server: the client has broken a rule, or something has failed.
    Error,
    /// The server: the client took too long.
    Timeout,
    /// The server: its process is being replaced.
    Drain,
    /// The server: the client has exceeded a limit.
    Limit,
    /// The server: it stops.
    Shutdown,
    /// Nobody: the network connection ended without a close frame.
    Lost,
}

impl Closer {
    /// All of them, in the order of their numbers (`closer as usize`).
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::Plugin,
        Self::Error,
        Self::Timeout,
        Self::Drain,
        Self::Limit,
        Self::Shutdown,
        Self::Lost,
    ];

    /// The word for it in access logs and counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Plugin => "plugin",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Drain => "drain",
            Self::Limit => "limit",
            Self::Shutdown => "shutdown",
            Self::Lost => "lost",
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::Client => "closed by the client",
            Self::Plugin => "closed by the plugin",
            Self::Error => "closed by the server (error)",
            Self::Timeout => "closed by the server (timeout)",
            Self::Drain => "closed by the server (drain)",
            Self::Limit => "closed by the server (limit)",
            Self::Shutdown => "closed by the server (shutdown)",
            Self::Lost => "lost",
        }
    }
}

/// How a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Who was first.
    pub by: Closer,
    /// The status code; 1005 if the close frame had none, 1006 if there was no close frame.
    pub code: u16,
    /// The text in the close frame; often empty.
    pub reason: Box<str>,
}

impl Closing {
    /// With a close frame that has this payload.
    #[must_use]
    pub fn with_frame(by: Closer, payload: &[u8]) -> Self {
        let (code, reason) = payload
            .split_first_chunk()
            .map_or((NO_CODE, &[][..]), |(code, reason)| {
                (u16::from_be_bytes(*code), reason)
            });
        Self {
            by,
            code,
            reason: String::from_utf8_lossy(reason).into(),
        }
    }

    /// Without a close frame.
    #[must_use]
    pub fn without_frame(by: Closer) -> Self {
        Self {
            by,
            code: ABNORMAL,
            reason: Box::default(),
        }
    }
}

/// What is to be told of a connection when it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// How it was closed.
    pub closing: Closing,
    /// What the client has sent.
    pub received: Traffic,
    /// What was accepted for sending to the client. The last of it may not have arrived.
    pub sent: Traffic,
    /// From the 101 response to the end.
    pub open: Duration,
    /// How long the client took to answer the last ping of the server that it has answered.
    pub ping: Option<Duration>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            closing,
            received,
            sent,
            open,
            ping,
        } = self;
        write!(f, "{} with code {}", closing.by.phrase(), closing.code)?;
        if !closing.reason.is_empty() {
            // The client may write anything; its text ends where the quote does.
            write!(f, " and reason \"{}\"", closing.reason.replace('"', "'"))?;
        }
        write!(
            f,
            "; received {} messages ({} bytes), sent {} ({} bytes); open for {:.3} s",
            received.messages,
            received.bytes,
            sent.messages,
            sent.bytes,
            open.as_secs_f64()
        )?;
        match ping {
            Some(ping) => write!(f, ", ping {} ms", Milliseconds(*ping)),
            None => Ok(()),
        }
    }
}

/// A duration as a number of milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds(pub Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Closer, Closing, Traffic};
    use std::time::Duration;

    #[test]
    fn a_close_frame_may_have_neither_code_nor_reason() {
        let closing = |payload| Closing::with_frame(Closer::Client, payload);
        assert_eq!((closing(b"").code, &*closing(b"").reason), (1005, ""));
        assert_eq!(closing(b"\x03\xe8").code, 1000);
        assert_eq!(&*closing(b"\x03\xe8bye").reason, "bye");
        assert_eq!(Closing::without_frame(Closer::Lost).code, 1006);
    }

    #[test]
    fn each_closer_has_a_number_and_a_word_of_its_own() {
        for (number, closer) in Closer::ALL.into_iter().enumerate() {
            assert_eq!(closer as usize, number);
            let same = Closer::ALL
                .iter()
                .filter(|other| other.word() == closer.word());
            assert_eq!(same.count(), 1);
        }
    }

    #[test]
    fn an_account_is_one_line() {
        let mut received = Traffic::default();
        received.add(Traffic::message(5));
        received.add(Traffic::message(0));
        let account = Account {
            closing: Closing::with_frame(Closer::Plugin, b"\x0f\xa0so \"there\""),
            received,
            sent: Traffic::message(7),
            open: Duration::from_millis(1234),
            ping: None,
        };
        assert_eq!(
            account.to_string(),
            "closed by the plugin with code 4000 and reason \"so 'there'\"; received 2 messages (5 \
             bytes), sent 1 (7 bytes); open for 1.234 s"
        );
        let ping = Some(Duration::from_micros(12_345));
        let account = Account { ping, ..account };
        let text = account.to_string();
        assert!(text.ends_with("open for 1.234 s, ping 12.345 ms"), "{text}");
    }
}
