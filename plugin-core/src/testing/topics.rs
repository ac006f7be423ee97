//! The topics of test hosts.

mod envelope;
pub(super) mod functions;

use super::Received;
use crate::abi::{self, TopicPosition};
use crate::topics::filter::{Filter, check_topic};
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The most subscriptions of a connection: httpd's default.
const MOST_TOPICS: usize = 128;

/// The topics that several hosts share. The table is the first field, so that a pointer to the
/// table is one to the whole struct.
#[repr(C)]
pub(super) struct Space {
    table: abi::TopicTable,
    state: Mutex<State>,
}

// SAFETY: the table holds functions and a null pointer. The rest is behind a lock.
unsafe impl Send for Space {}
// SAFETY: as above.
unsafe impl Sync for Space {}

#[derive(Default)]
struct State {
    subscriptions: Vec<Subscription>,
    /// Patterns of topics that have a history, and how many messages are kept of each.
    rules: Vec<(String, usize)>,
    histories: HashMap<String, History>,
}

/// A connection, for which messages are.
pub(super) trait Receive: Send + Sync {
    /// Takes a message.
    fn receive(&self, message: Received);
}

struct Subscription {
    subscriber: Weak<dyn Receive>,
    id: u64,
    filter: String,
    is_in_envelope: bool,
    user: Option<String>,
    info: Option<String>,
}

#[derive(Default)]
struct History {
    newest: u64,
    kept: Vec<Kept>,
}

#[derive(Clone)]
struct Kept {
    kind: c_int,
    is_json: bool,
    payload: Vec<u8>,
    offset: u64,
}

/// The epoch of all histories: a test has one httpd, which is not stopped.
const EPOCH: u64 = 1;

/// All spaces of the process, for [`Topics::host`](crate::Topics::host).
static ALL: Mutex<Vec<&Space>> = Mutex::new(Vec::new());

impl Space {
    /// A new space. It is never freed, because [`Topics`](crate::Topics) may be kept for ever.
    pub(super) fn create() -> &'static Self {
        let space = Box::leak(Box::new(Self {
            table: functions::TABLE,
            state: Mutex::default(),
        }));
        lock(&ALL).push(space);
        space
    }

    /// The pointer for plugins. It must be valid for the whole space, not only for the table.
    pub(super) fn table(&self) -> *const abi::TopicTable {
        std::ptr::from_ref(self).cast()
    }

    pub(super) fn keep(&self, pattern: &str, count: usize) {
        Filter::parse(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
        self.lock().rules.push((pattern.to_owned(), count));
    }

    fn all() -> Vec<&'static Self> {
        lock(&ALL).clone()
    }

    /// Publishes a message. Returns its place.
    fn publish(&self, topic: &str, kind: c_int, is_json: bool, payload: &[u8]) -> TopicPosition {
        let mut state = self.lock();
        let mut message = Kept {
            kind,
            is_json,
            payload: payload.to_vec(),
            offset: 0,
        };
        let count = state.kept_of(topic);
        if let Some(count) = count {
            let history = state.histories.entry(topic.to_owned()).or_default();
            history.newest += 1;
            message.offset = history.newest;
            history.kept.push(message.clone());
            let surplus = history.kept.len().saturating_sub(count);
            history.kept.drain(..surplus);
        }
        let mut served = Vec::new();
        for subscription in &state.subscriptions {
            let describes = |filter: Filter<'_>| filter.matches(topic);
            if Filter::parse(&subscription.filter).is_ok_and(describes)
                && !served.contains(&subscription.id)
            {
                served.push(subscription.id);
                if let Some(subscriber) = subscription.subscriber.upgrade() {
                    message.send(topic, &*subscriber, subscription.is_in_envelope);
                }
            }
        }
        message.position()
    }

    /// Subscribes, and sends what is recovered.
    pub(super) fn subscribe(
        &self,
        (subscriber, id): (&Arc<dyn Receive>, u64),
        filter: &str,
        request: &Request,
    ) -> Result<Answer, c_int> {
        let parsed = Filter::parse(filter).map_err(|_| abi::TOPIC_INVALID)?;
        if request.since.is_some() && !matches!(parsed, Filter::Topic(_)) {
            return Err(abi::TOPIC_INVALID);
        }
        let mut state = self.lock();
        let is_it = |other: &Subscription| other.id == id && other.filter == filter;
        let own = state.subscriptions.iter().filter(|other| other.id == id);
        if own.count() >= MOST_TOPICS && !state.subscriptions.iter().any(is_it) {
            return Err(abi::TOPIC_LIMIT);
        }
        state.subscriptions.retain(|other| !is_it(other));
        let answer = state.recover(filter, request, &**subscriber);
        state.subscriptions.push(Subscription {
            subscriber: Arc::downgrade(subscriber),
            id,
            filter: filter.to_owned(),
            is_in_envelope: request.is_in_envelope,
            user: request.user.clone(),
            info: request.info.clone(),
        });
        Ok(answer)
    }

    pub(super) fn unsubscribe(&self, id: u64, filter: &str) -> Result<(), c_int> {
        Filter::parse(filter).map_err(|_| abi::TOPIC_INVALID)?;
        let is_it = |other: &Subscription| other.id == id && other.filter == filter;
        self.lock().subscriptions.retain(|other| !is_it(other));
        Ok(())
    }

    /// The connection with this number leaves all topics.
    pub(super) fn leave(&self, id: u64) {
        self.lock().subscriptions.retain(|other| other.id != id);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// How somebody subscribes.
pub(super) struct Request {
    pub(super) is_in_envelope: bool,
    pub(super) since: Option<TopicPosition>,
    pub(super) user: Option<String>,
    pub(super) info: Option<String>,
}

/// What came of it.
pub(super) struct Answer {
    pub(super) position: TopicPosition,
    pub(super) recovery: c_int,
    pub(super) count: u32,
}

impl State {
    /// How many messages are kept of a topic.
    fn kept_of(&self, topic: &str) -> Option<usize> {
        let describes =
            |pattern: &str| Filter::parse(pattern).is_ok_and(|filter| filter.matches(topic));
        let rule = self.rules.iter().find(|(pattern, _)| describes(pattern))?;
        Some(rule.1)
    }

    fn recover(&self, topic: &str, request: &Request, subscriber: &dyn Receive) -> Answer {
        let mut answer = Answer {
            position: TopicPosition::default(),
            recovery: abi::RECOVERY_NONE,
            count: 0,
        };
        if check_topic(topic).is_err() || self.kept_of(topic).is_none() {
            return answer;
        }
        let empty = History::default();
        let history = self.histories.get(topic).unwrap_or(&empty);
        answer.position = position(history.newest);
        let Some(since) = request.since else {
            return answer;
        };
        let oldest = history.newest + 1 - history.kept.len() as u64;
        if since.epoch != EPOCH || since.offset > history.newest || since.offset + 1 < oldest {
            answer.recovery = abi::RECOVERY_GAP;
            return answer;
        }
        answer.recovery = abi::RECOVERY_COMPLETE;
        for message in history
            .kept
            .iter()
            .filter(|kept| kept.offset > since.offset)
        {
            message.send(topic, subscriber, request.is_in_envelope);
            answer.count += 1;
        }
        answer
    }
}

impl Kept {
    fn position(&self) -> TopicPosition {
        position(self.offset)
    }

    fn send(&self, topic: &str, subscriber: &dyn Receive, is_in_envelope: bool) {
        let received = if is_in_envelope {
            Received::Text(envelope::envelope(topic, self))
        } else {
            Received::from_raw(self.kind, &self.payload)
        };
        subscriber.receive(received);
    }
}

fn position(offset: u64) -> TopicPosition {
    if offset == 0 {
        return TopicPosition::default();
    }
    TopicPosition {
        epoch: EPOCH,
        offset,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
