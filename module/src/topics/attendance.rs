//! Who is on topics: what this child has to tell the others of it.
//!
//! Whoever comes or goes is noted, and written to the log a second later, together with others: a
//! room that fills costs one transaction and one event in a second and child.

use serde_json::{Value, json};

use super::hub::Hub;
use super::log::{Change, LeftBehind, Listed};
use super::message::{Kind, Message};
use super::presence::Identity;
use super::publisher::Publisher;
use super::space::SpaceId;

/// An event tells of so many at most.
const MOST_IN_EVENT: usize = 500;

impl Hub {
    /// Somebody has subscribed to a topic. It `was_there` if it had before.
    pub(super) fn note_joined(
        &self,
        space: SpaceId,
        topic: &str,
        who: Identity<'_>,
        was_there: bool,
    ) {
        let shows_members = self.rules.shows_members(space, topic);
        if was_there && !shows_members {
            return;
        }
        let is_first = self.presence.note(space, topic, |moves| {
            if shows_members {
                let listed = Listed {
                    id: who.id,
                    user: who.user.map(Box::from),
                    info: who.info.map(Box::from),
                };
                moves.joined.insert(who.id, listed);
            }
        });
        if is_first {
            self.commons.tell_own();
        }
    }

    /// Somebody has left a topic.
    pub(super) fn note_left(&self, space: SpaceId, topic: &str, id: u64) {
        let shows_members = self.rules.shows_members(space, topic);
        let is_first = self.presence.note(space, topic, |moves| {
            let was_new = moves.joined.remove(&id).is_some();
            if shows_members && !was_new {
                moves.left.push(id);
            }
        });
        if is_first {
            self.commons.tell_own();
        }
    }

    /// Writes who has come and gone, and tells the subscribers of topics whose members are shown.
    pub(super) fn write_presence(&self) {
        let topics = {
            let mut pending = self.presence.lock();
            pending.since = None;
            std::mem::take(&mut pending.topics)
        };
        if topics.is_empty() {
            return;
        }
        let changes: Vec<_> = topics
            .into_iter()
            .map(|((space, topic), moves)| Change {
                count: u32::try_from(self.count_here(space, &topic)).unwrap_or(u32::MAX),
                space,
                topic,
                joined: moves.joined.into_values().collect(),
                left: moves.left,
            })
            .collect();
        if let Err(error) = self.log.change_members(self.child, &changes) {
            // What is missing is written with the next change of the topic, in part.
            let _ = Self::failed(&error);
            return;
        }
        for change in &changes {
            let joined: Vec<_> = change.joined.iter().map(Listed::to_json).collect();
            self.tell(change.space, &change.topic, "joined", &joined);
            let left: Vec<_> = change.left.iter().map(|id| id_to_json(*id)).collect();
            self.tell(change.space, &change.topic, "left", &left);
        }
    }

    /// Removes what children have left that have ended, and tells of those who were on topics.
    pub(super) fn remove_dead(&self) {
        match self.log.remove_dead() {
            Ok(all) => {
                for LeftBehind { space, topic, ids } in all {
                    let left: Vec<_> = ids.into_iter().map(id_to_json).collect();
                    self.tell(space, &topic, "left", &left);
                }
            }
            Err(error) => drop(Self::failed(&error)),
        }
    }

    /// Publishes an event.
    fn tell(&self, space: SpaceId, topic: &str, what: &str, who: &[Value]) {
        for part in who.chunks(MOST_IN_EVENT) {
            let payload = format!("\"{what}\":{}", Value::from(part.to_vec()));
            let message = Message {
                space,
                topic,
                kind: Kind::Presence,
                position: None,
                payload: payload.as_bytes(),
            };
            // It is in the log if it cannot be published.
            let _ = self.publish(&[message], Publisher::thread());
        }
    }
}

impl Listed {
    fn to_json(&self) -> Value {
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
