//! Who gets the messages of which topics, of one space.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use smallvec::SmallVec;
use websocket_plugin::abi::host::Filter;

use crate::output::Output;

/// What is kept of a subscription.
pub(super) struct Member {
    pub(super) output: Arc<Output>,
    /// Messages that were published later are sent.
    pub(super) after: u64,
    pub(super) has_envelope: bool,
}

/// Subscribers by their numbers. To send a message is to go through a list.
type Group<T> = IndexMap<u64, T>;

/// Groups by the name of a topic, or by that of the parent in a pattern.
type Groups<T> = HashMap<Box<str>, Group<T>>;

/// The subscriptions to topics and patterns, and what is kept of each.
pub(super) struct Members<T> {
    topics: Groups<T>,
    children: Groups<T>,
    descendants: Groups<T>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self {
            topics: HashMap::new(),
            children: HashMap::new(),
            descendants: HashMap::new(),
        }
    }
}

impl<T> Members<T> {
    fn groups(&mut self, filter: Filter<'_>) -> &mut Groups<T> {
        match filter {
            Filter::Topic(_) => &mut self.topics,
            Filter::Children(_) => &mut self.children,
            Filter::Descendants(_) => &mut self.descendants,
        }
    }

    /// Adds a subscription, or replaces what is kept of it. Returns what was kept before.
    pub(super) fn add(&mut self, filter: Filter<'_>, subscriber: u64, kept: T) -> Option<T> {
        let groups = self.groups(filter);
        let name = name(filter);
        if let Some(group) = groups.get_mut(name) {
            return group.insert(subscriber, kept);
        }
        groups.insert(name.into(), Group::from_iter([(subscriber, kept)]));
        None
    }

    /// Removes a subscription. Returns what was kept of it.
    pub(super) fn remove(&mut self, filter: Filter<'_>, subscriber: u64) -> Option<T> {
        let groups = self.groups(filter);
        let group = groups.get_mut(name(filter))?;
        let removed = group.swap_remove(&subscriber);
        if group.is_empty() {
            groups.remove(name(filter));
        } else if group.capacity() > 16 && group.len() * 4 < group.capacity() {
            group.shrink_to(group.len() * 2);
        }
        removed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.children.is_empty() && self.descendants.is_empty()
    }

    /// How many have subscribed to this topic, not to patterns that describe it.
    pub(super) fn count(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, Group::len)
    }

    /// All that is kept.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &T)> {
        let groups = [&self.topics, &self.children, &self.descendants].into_iter();
        let groups = groups.flat_map(Groups::values);
        groups.flat_map(|group| group.iter().map(|(subscriber, kept)| (*subscriber, kept)))
    }

    /// Calls `visit` once for each subscriber who gets messages of a topic: with what is kept of
    /// the first of its subscriptions that `counts`, that to the topic itself before those to
    /// patterns.
    pub(super) fn visit<'m>(
        &'m self,
        topic: &str,
        counts: impl Fn(&T) -> bool,
        mut visit: impl FnMut(&'m T),
    ) {
        let groups = self.groups_of(topic);
        let mut seen = HashSet::new();
        let is_only = groups.len() == 1;
        for group in &groups {
            for (subscriber, kept) in *group {
                // Most topics have one group: nobody can be in two.
                if counts(kept) && (is_only || seen.insert(*subscriber)) {
                    visit(kept);
                }
            }
        }
    }

    /// The groups that get the messages of a topic.
    fn groups_of(&self, topic: &str) -> SmallVec<[&Group<T>; 4]> {
        let mut groups = SmallVec::new();
        groups.extend(self.topics.get(topic));
        if !self.children.is_empty() {
            let parent = topic.rsplit_once('/').map_or("", |(parent, _)| parent);
            groups.extend(self.children.get(parent));
        }
        if !self.descendants.is_empty() {
            groups.extend(self.descendants.get(""));
            let slashes = topic.match_indices('/');
            groups.extend(slashes.filter_map(|(at, _)| self.descendants.get(&topic[..at])));
        }
        groups
    }
}

/// What identifies a filter among those of its kind.
fn name(filter: Filter<'_>) -> &str {
    match filter {
        Filter::Topic(name) | Filter::Children(name) | Filter::Descendants(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Members};

    fn members(subscriptions: &[(&str, u64)]) -> Members<&'static str> {
        let mut members = Members::default();
        for &(filter, subscriber) in subscriptions {
            members.add(Filter::parse(filter).unwrap(), subscriber, "kept");
        }
        members
    }

    fn takers(members: &Members<&'static str>, topic: &str) -> usize {
        let mut count = 0;
        members.visit(topic, |_| true, |_| count += 1);
        count
    }

    #[test]
    fn a_message_goes_to_those_whose_filters_describe_its_topic() {
        let filters = [
            ("a", 1),
            ("a/b", 2),
            ("a/*", 3),
            ("a/**", 4),
            ("**", 5),
            ("*", 6),
        ];
        let all = members(&filters);
        for topic in ["a", "a/b", "a/b/c", "b", "b/c", "ab/c"] {
            let describes =
                |(filter, _): &&(&str, u64)| Filter::parse(filter).unwrap().matches(topic);
            let expected = filters.iter().filter(describes).count();
            assert_eq!(takers(&all, topic), expected, "{topic}");
        }
    }

    #[test]
    fn who_has_several_subscriptions_gets_a_message_once() {
        let one = members(&[("a/b", 1), ("a/*", 1), ("a/**", 1), ("**", 1), ("a/b", 2)]);
        assert_eq!(takers(&one, "a/b"), 2);
        assert_eq!(takers(&one, "a/c"), 1);
    }

    #[test]
    fn a_subscription_that_does_not_count_yet_does_not_hide_another() {
        let mut members = Members::default();
        members.add(Filter::Topic("a"), 1, 10);
        members.add(Filter::Descendants(""), 1, 5);
        let mut got = Vec::new();
        members.visit("a", |from| *from < 7, |from| got.push(*from));
        members.visit("a", |from| *from < 20, |from| got.push(*from));
        assert_eq!(got, [5, 10]);
    }

    #[test]
    fn nothing_is_left_of_subscriptions_that_were_removed() {
        let filters = [("a", 1), ("a", 2), ("a/*", 1), ("**", 1)];
        let mut members = members(&filters);
        assert_eq!(members.count("a"), 2);
        assert_eq!(members.all().count(), 4);
        for (filter, subscriber) in filters {
            let filter = Filter::parse(filter).unwrap();
            assert_eq!(members.remove(filter, subscriber), Some("kept"));
            assert_eq!(members.remove(filter, subscriber), None);
        }
        assert!(members.is_empty());
    }
}
