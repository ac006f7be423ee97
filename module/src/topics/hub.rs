//! The topics of this child.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::delivery::Delivery;
use super::error::TopicError;
use super::log::{ChildId, Log, LogError, PARTS_OF_LARGEST};
use super::members::{Member, Members};
use super::outbox::Outbox;
use super::presence::Presence;
use super::rules::Rules;
use super::space::SpaceId;
use super::waiter::Waiter;
use crate::httpd::commons::Commons;
use crate::httpd::log::{Level, Throttle, log_server};

static THROTTLE: Throttle = Throttle::new();

/// All that a child has for topics.
pub(super) struct Hub {
    pub(super) log: Log,
    pub(super) commons: &'static Commons,
    pub(super) rules: Rules,
    pub(super) spaces: Vec<SpaceId>,
    pub(super) child: ChildId,
    /// Makes the numbers of this host's connections unlike those of others.
    pub(super) salt: u64,
    /// The subscribers of this child.
    pub(super) rooms: RwLock<HashMap<SpaceId, Members<Member>>>,
    pub(super) delivery: Delivery,
    pub(super) presence: Presence,
    pub(super) waiter: Waiter,
    /// What goes to a broker, if there is one.
    pub(super) outbox: Option<Outbox>,
}

impl Hub {
    /// The error for what went wrong with the log, which is logged, too.
    pub(super) fn failed(error: &LogError) -> TopicError {
        if let LogError::TooLarge = error {
            return TopicError::TooLarge;
        }
        let text = describe(error);
        log_seldom(&format!("topics: {text}"));
        TopicError::Unavailable
    }

    /// How many of this child have subscribed to a topic.
    pub(super) fn count_here(&self, space: SpaceId, topic: &str) -> usize {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(&space).map_or(0, |members| members.count(topic))
    }
}

pub(super) fn describe(error: &LogError) -> String {
    match error {
        LogError::TooLarge => {
            format!("a message is longer than 1/{PARTS_OF_LARGEST} of WebSocketTopicMemory")
        }
        LogError::Full => "their memory is full: histories take too much of it; set \
                           WebSocketTopicMemory higher, or WebSocketTopicHistory lower"
            .into(),
        LogError::Failed(why) => why.clone(),
    }
}

/// Logs an error, not more often than once a minute.
pub(super) fn log_seldom(text: &str) {
    if THROTTLE.admits(&text) {
        log_server(Level::Error, text);
    }
}
