//! A connection and everything around it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Events, Loop, OnMessage, Plugin, Wire};
use crate::meter::Meter;
use crate::output::{Caller, Framing, Output, QueuePolicy, SlowClient};
use crate::protocol::{Connection, Lifespan, Limits, Opcode, Receiver, Version};
use crate::session::{Next, Session};

pub(super) const LIMIT: usize = 4096;

/// The session waits for the client's bytes alone.
pub(super) const READ: Next = Next::Wait {
    read: true,
    write: false,
    deadline: None,
};

/// A connection and everything around it.
pub(super) struct Case {
    pub(super) wire: Wire,
    pub(super) home: Arc<Loop>,
    pub(super) output: Arc<Output<Wire>>,
    pub(super) events: Rc<Events>,
    pub(super) session: Option<Session<Plugin, Wire>>,
}

impl Case {
    /// The application echoes each message.
    pub(super) fn echo() -> Self {
        Self::new(|output| {
            Box::new(move |message| {
                let _ = output.send(Opcode::Text, message, Caller::Own);
            })
        })
    }

    pub(super) fn silent() -> Self {
        Self::new(|_| Box::new(|_| ()))
    }

    pub(super) fn new(on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage) -> Self {
        Self::with(&Lifespan::default(), SlowClient::Wait, on_message)
    }

    pub(super) fn with(
        lifespan: &Lifespan,
        slow_client: SlowClient,
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let limits = Limits {
            max_message_size: 1 << 20,
            max_fragments: 16_384,
            allow_reserved_status_codes: false,
        };
        Self::receiving(Receiver::new(limits), lifespan, slow_client, on_message)
    }

    pub(super) fn receiving(
        receiver: Receiver,
        lifespan: &Lifespan,
        slow_client: SlowClient,
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let framing = Framing::new(None, Meter::default());
        Self::framing(framing, receiver, (lifespan, slow_client), on_message)
    }

    pub(super) fn framing(
        framing: Framing,
        receiver: Receiver,
        settings: (&Lifespan, SlowClient),
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let timeout = Duration::from_secs(60);
        let case = Self::unopened(framing, receiver, settings, timeout, on_message);
        case.output.open(case.wire.clone());
        case
    }

    /// The 101 response is still to be sent. A client may take nothing for `patience`.
    pub(super) fn unopened(
        framing: Framing,
        receiver: Receiver,
        (lifespan, slow_client): (&Lifespan, SlowClient),
        patience: Duration,
        on_message: impl FnOnce(Arc<Output<Wire>>) -> OnMessage,
    ) -> Self {
        let (wire, home) = (Wire::default(), Arc::new(Loop::default()));
        let timeout = Some(patience.max(Duration::from_secs(60)));
        let policy = QueuePolicy {
            limit: LIMIT,
            slow_client,
        };
        let output = Output::new(
            policy,
            Some(patience),
            Arc::clone(&home) as _,
            Arc::clone(&home) as _,
            framing,
        );
        wire.take(1 << 30);
        let events = Rc::new(Events::default());
        let plugin = Plugin {
            on_message: on_message(Arc::clone(&output)),
            events: Rc::clone(&events),
        };
        let started = Instant::now();
        let connection = Connection::new(receiver, Version::V13, timeout, lifespan, started);
        let session = Session::new(connection, Arc::clone(&output), plugin);
        Self {
            wire,
            home,
            output,
            events,
            session: Some(session),
        }
    }

    /// A turn, and those that follow at once: a turn ends early where a busy machine takes so long
    /// that other connections should have their turn.
    pub(super) fn turn(&mut self) -> Next {
        loop {
            let next = self.turn_at(Instant::now());
            if next != Next::Again {
                return next;
            }
        }
    }

    pub(super) fn turn_at(&mut self, now: Instant) -> Next {
        let session = self.session.as_mut().unwrap();
        session.turn(&mut [0; 1024], now, false)
    }

    pub(super) fn drop_session(&mut self) {
        self.session = None;
    }
}

/// A frame of the client, masked with zeros.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

pub(super) fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}
