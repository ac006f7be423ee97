//! Who is on topics: what this child has to tell the others of it.
//!
//! Whoever comes or goes is noted, and written to the log a second later, together with others: a
//! room that fills costs one transaction and one event in a second and child.

use serde_json::{Value, json};

use super::hub::Hub;
use super::log::{Change, LeftBehind, Listed};
use super::message::{Kind, Message};
use super::presence::{Identity, Topics, change};
use super::publisher::Publisher;
use super::space::SpaceId;

/// An event that tells of more than one has about so many bytes at most.
const LONGEST_EVENT: usize = 16 * 1024;

/// So many topics are written in one transaction: others want to write, too.
const MOST_WRITTEN: usize = 256;

impl Hub {
    /// Somebody has subscribed to a topic. It `was_there` if it had before.
    pub(super) fn note_joined(
        &self,
        space: SpaceId,
        topic: &str,
        who: Identity<'_>,
        was_there: bool,
    ) {
        let is_shown = self.rules.shows_members(space, topic);
        if is_shown || !was_there {
            let listed = || Listed {
                id: who.id,
                user: who.user.map(Box::from),
                info: who.info.map(Box::from),
            };
            self.note(space, topic, is_shown.then(|| (who.id, Some(listed()))));
        }
    }

    /// Somebody has left a topic.
    pub(super) fn note_left(&self, space: SpaceId, topic: &str, id: u64) {
        let is_shown = self.rules.shows_members(space, topic);
        self.note(space, topic, is_shown.then_some((id, None)));
    }

    fn note(&self, space: SpaceId, topic: &str, who: Option<(u64, Option<Listed>)>) {
        // Without the thread nobody would write it.
        if self.waiter.is_running() && self.presence.note(space, topic, who) {
            self.commons.tell_own();
        }
    }

    /// Writes who has come and gone, and tells the subscribers of topics whose members are shown.
    pub(super) fn write_presence(&self) {
        self.presence.write(|topics| self.write_topics(topics));
    }

    /// Returns what could not be written.
    fn write_topics(&self, topics: Topics) -> Topics {
        let mut topics = topics.into_iter();
        loop {
            let part: Topics = topics.by_ref().take(MOST_WRITTEN).collect();
            if part.is_empty() {
                return part;
            }
            let counted = part.iter().map(|(topic, moves)| {
                let count = self.count_here(topic.0, &topic.1);
                change(topic, moves, u32::try_from(count).unwrap_or(u32::MAX))
            });
            let changes: Vec<_> = counted.collect();
            if let Err(error) = self.log.change_members(self.child, &changes) {
                // The error log knows.
                let _ = Self::failed(&error);
                return part.into_iter().chain(topics).collect();
            }
            self.tell_changes(&changes);
        }
    }

    /// Removes what children have left that have ended, and tells of those who were on topics.
    pub(super) fn remove_dead(&self) {
        match self.log.remove_dead(self.child) {
            Ok(all) => self.tell_left(all),
            Err(error) => {
                let _ = Self::failed(&error);
            }
        }
    }

    /// Tells the subscribers of this host who has come and gone.
    pub(super) fn tell_changes(&self, changes: &[Change]) {
        for change in changes {
            let left: Vec<_> = change.left.iter().map(|id| id_to_json(*id)).collect();
            self.tell(change.space, &change.topic, "left", &left);
            let joined: Vec<_> = change.joined.iter().map(Listed::to_json).collect();
            self.tell(change.space, &change.topic, "joined", &joined);
        }
    }

    /// Tells the subscribers of this host of those who were left behind.
    pub(super) fn tell_left(&self, all: Vec<LeftBehind>) {
        for LeftBehind { space, topic, ids } in all {
            let left: Vec<_> = ids.into_iter().map(id_to_json).collect();
            self.tell(space, &topic, "left", &left);
        }
    }

    /// Publishes an event.
    fn tell(&self, space: SpaceId, topic: &str, what: &str, who: &[Value]) {
        let mut who = who.iter().map(Value::to_string).peekable();
        while let Some(first) = who.next() {
            let mut payload = format!("\"{what}\":[{first}");
            while let Some(next) = who.next_if(|next| payload.len() + next.len() < LONGEST_EVENT) {
                payload.extend([",", &next]);
            }
            payload.push(']');
            let message = Message {
                space,
                topic,
                kind: Kind::Presence,
                position: None,
                payload: payload.as_bytes(),
            };
            // The error log knows if it cannot be published.
            let _ = self.publish_here(&message, Publisher::thread());
        }
    }
}

impl Listed {
    /// As in the events of presence.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = json!({ "id": id_to_json(self.id) });
        for (name, text) in [("user", &self.user), ("info", &self.info)] {
            if let Some(text) = text {
                value[name] = Value::from(&**text);
            }
        }
        value
    }
}

/// Numbers of JSON are not exact enough.
fn id_to_json(id: u64) -> Value {
    Value::from(format!("{id:x}"))
}
