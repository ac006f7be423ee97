//! Who has come and gone in this child, and is not written to the log yet.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lock::lock;
use super::log::{Change, Listed};
use super::space::SpaceId;

/// A subscriber, as others see it.
#[derive(Clone, Copy)]
pub(super) struct Identity<'i> {
    pub(super) id: u64,
    pub(super) user: Option<&'i str>,
    pub(super) info: Option<&'i str>,
}

/// What is not written yet.
#[derive(Default)]
pub(super) struct Presence {
    pending: Mutex<Pending>,
    /// Held by whoever writes, so that older news do not come after newer ones.
    writing: Mutex<()>,
}

#[derive(Default)]
struct Pending {
    since: Option<Instant>,
    topics: Topics,
}

/// Of each topic, who has come or gone. Nobody where members are not shown; then its number has
/// changed.
pub(super) type Topics = HashMap<(SpaceId, Box<str>), HashMap<u64, Move>>;

/// What somebody has done, all in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    /// Whether others know of it.
    was_listed: bool,
    /// What others are to see; `None`: it has gone.
    now: Option<Listed>,
}

impl Presence {
    /// How long until what is not written is due, `delay` after the first of it; `None`: all is
    /// written.
    pub(super) fn due(&self, delay: Duration) -> Option<Duration> {
        let since = lock(&self.pending).since?;
        Some(delay.saturating_sub(since.elapsed()))
    }

    /// Somebody has come to a topic, or gone; `None`: who it was is not to be known. Returns
    /// whether nothing was waiting before.
    pub(super) fn note(
        &self,
        space: SpaceId,
        topic: &str,
        who: Option<(u64, Option<Listed>)>,
    ) -> bool {
        let mut pending = lock(&self.pending);
        let moves = pending.topics.entry((space, topic.into())).or_default();
        if let Some((id, now)) = who {
            // Before its first move it was there if it goes.
            let was_listed = moves
                .get(&id)
                .map_or(now.is_none(), |earlier| earlier.was_listed);
            if now.is_none() && !was_listed {
                moves.remove(&id);
            } else {
                moves.insert(id, Move { was_listed, now });
            }
        }
        let is_first = pending.since.is_none();
        pending.since.get_or_insert_with(Instant::now);
        is_first
    }

    /// Has `write` write what is not written yet. What it returns could not be written, and waits
    /// on.
    pub(super) fn write(&self, write: impl FnOnce(Topics) -> Topics) {
        let _writing = lock(&self.writing);
        let topics = {
            let mut pending = lock(&self.pending);
            pending.since = None;
            std::mem::take(&mut pending.topics)
        };
        if topics.is_empty() {
            return;
        }
        let rest = write(topics);
        if !rest.is_empty() {
            lock(&self.pending).put_back(rest);
        }
    }
}

impl Pending {
    fn put_back(&mut self, earlier: Topics) {
        self.since.get_or_insert_with(Instant::now);
        for (topic, earlier) in earlier {
            let moves = self.topics.entry(topic).or_default();
            for (id, earlier) in earlier {
                let later = moves.remove(&id).map_or(earlier.now, |later| later.now);
                let was_listed = earlier.was_listed;
                if was_listed || later.is_some() {
                    moves.insert(
                        id,
                        Move {
                            was_listed,
                            now: later,
                        },
                    );
                }
            }
        }
    }
}

/// What is to be written of a topic, on which `count` are now.
pub(super) fn change(
    (space, topic): &(SpaceId, Box<str>),
    moves: &HashMap<u64, Move>,
    count: u32,
) -> Change {
    let joined = moves.values().filter_map(|it| it.now.clone());
    let left = moves.iter().filter(|(_, it)| it.now.is_none());
    Change {
        space: *space,
        topic: topic.clone(),
        count,
        joined: joined.collect(),
        left: left.map(|(id, _)| *id).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Listed, Presence, SpaceId, Topics, change};
    use std::time::Duration;

    fn listed(info: &str) -> Option<Listed> {
        Some(Listed {
            id: 1,
            user: None,
            info: Some(info.into()),
        })
    }

    /// What is written after these moves: who has joined, with which info, and who has left.
    fn written(presence: &Presence) -> Vec<(Vec<String>, Vec<u64>)> {
        let mut all = Vec::new();
        presence.write(|topics| {
            for (topic, moves) in &topics {
                let change = change(topic, moves, 0);
                let infos = change.joined.iter().map(|it| format!("{:?}", it.info));
                all.push((infos.collect(), change.left));
            }
            Topics::new()
        });
        all
    }

    #[test]
    fn what_somebody_has_done_is_written_all_in_all() {
        let space = SpaceId::named(b"s");
        let some = |info| (vec![format!("Some({info:?})")], vec![]);
        for (moves, expected) in [
            (&[listed("a")][..], some("a")),
            (&[listed("a"), listed("b")], some("b")),
            (&[listed("a"), None], (vec![], vec![])),
            (&[None], (vec![], vec![1])),
            (&[None, listed("a")], some("a")),
            (&[None, listed("a"), None], (vec![], vec![1])),
        ] {
            let presence = Presence::default();
            for now in moves {
                presence.note(space, "t", Some((1, now.clone())));
            }
            assert_eq!(written(&presence), [expected], "{moves:?}");
            assert_eq!(presence.due(Duration::ZERO), None);
        }
    }

    #[test]
    fn what_could_not_be_written_waits_with_what_has_come_since() {
        let space = SpaceId::named(b"s");
        let presence = Presence::default();
        assert!(presence.note(space, "t", Some((1, listed("a")))));
        assert!(!presence.note(space, "u", None));
        presence.write(|topics| {
            presence.note(space, "t", Some((1, None)));
            topics
        });
        assert!(presence.due(Duration::ZERO).is_some());
        assert_eq!(written(&presence), [(vec![], vec![]), (vec![], vec![])]);
    }
}
