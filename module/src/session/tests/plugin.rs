//! A plugin that does what the test says.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::httpd::log::Level;
use crate::protocol::{Account, MessageKind, Payload};
use crate::session::application::{Application, Ended};

pub(super) type OnMessage = Box<dyn Fn(&[u8])>;

/// A plugin that does with a message what the test says, and remembers what happened.
pub(super) struct Plugin {
    pub(super) on_message: OnMessage,
    pub(super) events: Rc<Events>,
}

#[derive(Default)]
pub(super) struct Events {
    pub(super) happened: RefCell<Vec<String>>,
    pub(super) account: RefCell<Option<Account>>,
    pub(super) is_clean: Cell<bool>,
    /// When events are due, in order.
    pub(super) timers: RefCell<Vec<Instant>>,
    /// How long each of them takes.
    pub(super) event_takes: Cell<Duration>,
}

impl Events {
    pub(super) fn push(&self, event: String) {
        self.happened.borrow_mut().push(event);
    }

    pub(super) fn take(&self) -> Vec<String> {
        self.happened.take()
    }
}

impl Application for Plugin {
    fn in_callbacks(&self, body: impl FnOnce()) {
        body();
    }

    fn message(&self, _: MessageKind, payload: &mut Payload<'_>) {
        self.events
            .push(format!("message {}", String::from_utf8_lossy(payload)));
        (self.on_message)(payload);
    }

    fn part(&self, _: MessageKind, payload: &mut Payload<'_>, is_last: bool) {
        let end = if is_last { "." } else { "" };
        let text = String::from_utf8_lossy(payload).into_owned();
        self.events.push(format!("message {text}{end}"));
        (self.on_message)(payload);
    }

    fn handle_event(&self, now: Instant) -> bool {
        let mut timers = self.events.timers.borrow_mut();
        let is_due = timers.first().is_some_and(|timer| *timer <= now);
        if is_due {
            timers.remove(0);
            self.events.push("event".into());
            sleep(self.events.event_takes.get());
        }
        is_due
    }

    fn next_timer(&self) -> Option<Instant> {
        self.events.timers.borrow().first().copied()
    }

    fn drained(&self) {
        self.events.push("drained".into());
    }

    fn disconnect(&self, ended: &Ended<'_>) {
        self.events.is_clean.set(ended.is_clean);
        self.events.push("disconnect".into());
    }

    fn ended(&self, account: &Account) {
        *self.events.account.borrow_mut() = Some(account.clone());
    }

    fn traces_frames(&self) -> bool {
        false
    }

    fn freed_much(&self) {
        self.events.push("freed much".into());
    }

    fn log(&self, _: Level, text: &str) {
        self.events.push(text.into());
    }
}
