//! Posting events to a connection.

use super::Sender;
use crate::abi::{EventServer, POST_ACCEPTED, POST_FULL};
use crate::export::{self, EventOf, Exported};
use crate::gone::Gone;
use std::any::TypeId;
use std::fmt;
use std::time::Duration;

/// The reason why an event was not posted. The event is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PostError {
    /// The connection is gone.
    Closed,
    /// 1024 events wait for this connection already, or as many timers.
    Full,
    /// The connection belongs to another plugin than the one that was named.
    OtherPlugin,
    /// The host has no events (the C module, and older versions of `mod_websocket`).
    Unsupported,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::Full => "too many events wait for the connection",
            Self::OtherPlugin => "the connection belongs to another plugin",
            Self::Unsupported => "this version of mod_websocket has no events",
        })
    }
}

impl std::error::Error for PostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed => Some(&Gone),
            Self::Full | Self::OtherPlugin | Self::Unsupported => None,
        }
    }
}

impl Sender {
    /// Posts an event to this connection: [`on_event`](crate::Plugin::on_event) gets it, with the
    /// connection's state, in the order of the connection's other callbacks. Use it to hand over
    /// what a thread has found, or to change the state of another connection without a lock.
    ///
    /// `P` is the plugin, which `Self` stands for in its `impl`.
    ///
    /// ```
    /// # use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};
    /// use std::time::Duration;
    ///
    /// #[derive(Default)]
    /// struct Patient;
    ///
    /// enum Event {
    ///     Late,
    /// }
    ///
    /// #[websocket_plugin]
    /// impl Plugin for Patient {
    ///     type Event = Event;
    ///
    ///     fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
    ///         Ok(to.after::<Self>(Duration::from_secs(5), Event::Late)?)
    ///     }
    ///
    ///     fn on_event(&self, _: &mut (), to: &Sender, event: Event) -> Result<(), Close> {
    ///         match event {
    ///             Event::Late => Ok(to.send("five seconds have passed")?),
    ///         }
    ///     }
    /// }
    /// # use websocket_plugin::testing::{Host, Received, Request};
    /// # let host = Host::load::<Patient>();
    /// # let mut client = host.connect(Request::new()).unwrap();
    /// # client.send("");
    /// # assert!(client.received().is_empty());
    /// # host.advance(Duration::from_secs(5));
    /// # assert_eq!(client.received(), [Received::Text("five seconds have passed".into())]);
    /// ```
    ///
    /// Any thread and any callback may post, and none waits. Events of one thread come in the order
    /// in which it posted them. Those that are not handled when the connection ends are dropped,
    /// before `on_disconnect`. [Pausing](Self::pause) the client does not hold events back.
    ///
    /// # Errors
    ///
    /// See [`PostError`]. At most 1024 events wait for a connection.
    pub fn post<P: Exported>(&self, event: EventOf<P>) -> Result<(), PostError> {
        self.post_after::<P>(0, event)
    }

    /// Posts an event that comes after this time, like [`post`](Self::post). It is late by up to an
    /// eighth of the time, half a second at most, so that the timers of many connections run out
    /// together. It holds no thread, and ends with the connection.
    ///
    /// A timer cannot be taken back. If it may be out of date, put a number into the event, and
    /// compare it with one in the connection.
    ///
    /// # Errors
    ///
    /// See [`PostError`]. A connection has at most 1024 timers.
    pub fn after<P: Exported>(&self, delay: Duration, event: EventOf<P>) -> Result<(), PostError> {
        let milliseconds = delay.as_nanos().div_ceil(1_000_000).max(1);
        let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        self.post_after::<P>(milliseconds, event)
    }

    fn post_after<P: Exported>(&self, delay: u64, event: EventOf<P>) -> Result<(), PostError> {
        if self.shared.plugin != TypeId::of::<P>() {
            return Err(PostError::OtherPlugin);
        }
        #[cfg(feature = "tokio")]
        if self.has_too_many_events() {
            return Err(PostError::Full);
        }
        let event = Box::into_raw(Box::new(event));
        let answer = self.with_table(|server| {
            // SAFETY: `with_table` keeps the table valid.
            let table = unsafe { EventServer::current(server) }.ok_or(PostError::Unsupported)?;
            // SAFETY: as above. The functions are those for events of `P`, to which the connection
            // belongs.
            let answer = unsafe {
                (table.post)(
                    server,
                    delay,
                    export::on_event::<P>,
                    Some(export::discard::<P>),
                    event.cast(),
                )
            };
            match answer {
                POST_ACCEPTED => Ok(()),
                POST_FULL => Err(PostError::Full),
                _ => Err(PostError::Closed),
            }
        });
        let posted = answer.unwrap_or(Err(PostError::Closed));
        if posted.is_err() {
            // An event that is dropped runs the plugin's code. It may send, and the end of the
            // connection may wait for the table, so the table must not be held any more.
            // SAFETY: the host has not taken the event.
            drop(unsafe { Box::from_raw(event) });
        }
        posted
    }
}
