//! What is set for topics, in one section.

use std::path::Path;
use std::sync::Arc;

use crate::topics::{BrokerSettings, HistoryRule, Partition, SpaceId, SpaceRules};

/// 64 MiB.
pub const DEFAULT_TOPIC_MEMORY: u64 = 67_108_864;

/// Subscriptions of a connection.
pub const DEFAULT_MAX_TOPICS: usize = 128;

/// `None` where a directive does not stand.
#[derive(Clone, Debug, Default)]
pub struct TopicsConfig {
    pub(in crate::entry) max: Option<usize>,
    /// Only in sections.
    pub(in crate::entry) publish: Option<Arc<Vec<Box<str>>>>,
    /// Only at servers and virtual hosts, as all that follows.
    pub(in crate::entry) space: Option<SpaceId>,
    pub(in crate::entry) history: Vec<HistoryRule>,
    pub(in crate::entry) presence: Vec<Box<str>>,
    /// Only at the main server, as all that follows.
    pub(in crate::entry) memory: Option<u64>,
    pub(in crate::entry) store: Option<Arc<Path>>,
    pub(in crate::entry) broker: Option<Arc<BrokerSettings>>,
    pub(in crate::entry) partition: Option<Partition>,
}

impl TopicsConfig {
    /// The most subscriptions of a connection.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max.unwrap_or(DEFAULT_MAX_TOPICS)
    }

    /// The topics and patterns to which requests may publish here.
    #[must_use]
    pub fn publish(&self) -> &[Box<str>] {
        self.publish.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The space that several servers may share.
    #[must_use]
    pub fn space(&self) -> Option<SpaceId> {
        self.space
    }

    /// The rules for the topics of a server.
    #[must_use]
    pub fn rules(&self) -> SpaceRules {
        SpaceRules {
            history: self.history.clone(),
            presence: self.presence.clone(),
        }
    }

    /// The memory for what is published, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        usize::try_from(self.memory.unwrap_or(DEFAULT_TOPIC_MEMORY)).unwrap_or(usize::MAX)
    }

    /// Where it stays when httpd stops.
    #[must_use]
    pub fn store(&self) -> Option<&Path> {
        self.store.as_deref()
    }

    /// The broker between hosts.
    #[must_use]
    pub fn broker(&self) -> Option<Arc<BrokerSettings>> {
        self.broker.clone()
    }

    /// What becomes of messages while it cannot be reached.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition.unwrap_or_default()
    }

    /// The section `inner` inside this one: what it sets counts, the rest is inherited. Its rules
    /// come before those that are inherited.
    pub(super) fn merged_with(&self, inner: &Self) -> Self {
        Self {
            max: inner.max.or(self.max),
            publish: inner.publish.clone().or_else(|| self.publish.clone()),
            space: inner.space.or(self.space),
            history: [&inner.history[..], &self.history].concat(),
            presence: [&inner.presence[..], &self.presence].concat(),
            memory: inner.memory.or(self.memory),
            store: inner.store.clone().or_else(|| self.store.clone()),
            broker: inner.broker.clone().or_else(|| self.broker.clone()),
            partition: inner.partition.or(self.partition),
        }
    }
}
