//! The settings of topics in one section.

use std::path::Path;
use std::sync::Arc;

use crate::topics::{BrokerSettings, HistoryRule, Partition, SpaceId, SpaceRules};

/// 64 MiB.
pub const DEFAULT_TOPIC_MEMORY: u64 = 67_108_864;

/// The most subscriptions of a connection.
pub const DEFAULT_MAX_TOPICS: usize = 128;

/// The directives about topics of one section. A field is `None` if the section does not have the
/// directive.
#[derive(Clone, Debug, Default)]
pub struct TopicsConfig {
    pub(in crate::entry) max: Option<usize>,
    /// Only in sections.
    pub(in crate::entry) publish: Option<Arc<Vec<Box<str>>>>,
    /// Only at servers and virtual hosts, like the fields below.
    pub(in crate::entry) space: Option<SpaceId>,
    pub(in crate::entry) history: Vec<HistoryRule>,
    pub(in crate::entry) presence: Vec<Box<str>>,
    /// Only at the main server, like the fields below.
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

    /// The topics and patterns that requests may publish to here.
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

    /// The memory for published messages, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        usize::try_from(self.memory.unwrap_or(DEFAULT_TOPIC_MEMORY)).unwrap_or(usize::MAX)
    }

    /// The directory that keeps published messages while httpd is stopped.
    #[must_use]
    pub fn store(&self) -> Option<&Path> {
        self.store.as_deref()
    }

    /// The broker between hosts.
    #[must_use]
    pub fn broker(&self) -> Option<Arc<BrokerSettings>> {
        self.broker.clone()
    }

    /// What happens to messages while the broker cannot be reached.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition.unwrap_or_default()
    }

    /// Merges the section `inner` into this one around it: what `inner` does not set is inherited.
    /// The rules of `inner` come before the inherited ones.
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
