//! Which topics have a history (`WebSocketTopicHistory`), and of whom it is known who is on them
//! (`WebSocketTopicPresence`).

use std::time::Duration;

use websocket_plugin::abi::host::Filter;

use super::space::SpaceId;

/// How much of a topic is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many messages. Never zero.
    pub count: u32,
    /// For so long; `None`: for ever.
    pub time: Option<Duration>,
    /// Whoever subscribes is sent what is kept.
    pub is_given: bool,
}

/// The topics that a pattern describes have a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRule {
    /// A topic or a pattern, which has been checked.
    pub pattern: Box<str>,
    /// How much of each is kept.
    pub keep: Keep,
}

/// What an administrator has set for the topics of a space.
#[derive(Clone, Debug, Default)]
pub struct SpaceRules {
    /// The first that describes a topic counts.
    pub history: Vec<HistoryRule>,
    /// Topics and patterns, which have been checked.
    pub presence: Vec<Box<str>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Rules(pub(super) Vec<(SpaceId, SpaceRules)>);

impl Rules {
    fn of(&self, space: SpaceId) -> impl Iterator<Item = &SpaceRules> {
        let of_space = move |(other, _): &&(SpaceId, _)| *other == space;
        self.0.iter().filter(of_space).map(|(_, rules)| rules)
    }

    /// How much is kept of a topic; `None`: nothing.
    pub(super) fn keep(&self, space: SpaceId, topic: &str) -> Option<Keep> {
        let mut rules = self.of(space).flat_map(|rules| &rules.history);
        let rule = rules.find(|rule| matches(&rule.pattern, topic))?;
        Some(rule.keep)
    }

    /// Whether something is kept for a time only.
    pub(super) fn keep_for_a_time(&self) -> bool {
        let mut rules = self.0.iter().flat_map(|(_, rules)| &rules.history);
        rules.any(|rule| rule.keep.time.is_some())
    }

    /// Whether it is known who is on a topic.
    pub(super) fn shows_members(&self, space: SpaceId, topic: &str) -> bool {
        let mut patterns = self.of(space).flat_map(|rules| &rules.presence);
        patterns.any(|pattern| matches(pattern, topic))
    }
}

fn matches(pattern: &str, topic: &str) -> bool {
    Filter::of_checked(pattern).matches(topic)
}

#[cfg(test)]
mod tests {
    use super::{HistoryRule, Keep, Rules, SpaceRules};
    use crate::topics::SpaceId;

    #[test]
    fn the_first_rule_of_the_space_that_describes_a_topic_counts() {
        let rule = |pattern: &str, count| HistoryRule {
            pattern: pattern.into(),
            keep: Keep {
                count,
                time: None,
                is_given: false,
            },
        };
        let space = SpaceId::named(b"a");
        let rules = SpaceRules {
            history: vec![rule("chat/lobby", 5), rule("chat/*", 10)],
            presence: vec!["chat/*".into()],
        };
        let rules = Rules(vec![(space, rules)]);
        let count = |space, topic| rules.keep(space, topic).map(|keep| keep.count);
        assert_eq!(count(space, "chat/lobby"), Some(5));
        assert_eq!(count(space, "chat/games"), Some(10));
        assert_eq!(count(space, "news"), None);
        assert_eq!(count(SpaceId::named(b"b"), "chat/lobby"), None);
        assert!(rules.shows_members(space, "chat/lobby"));
        assert!(!rules.shows_members(space, "news"));
    }
}
