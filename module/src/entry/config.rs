//! The configuration of a directory, location or server, and how sections merge.

mod lifespan;
mod limits;
mod stored;
mod topics;

pub use lifespan::LifespanConfig;
pub use limits::LimitsConfig;
pub use stored::{
    create, drain_rate, drain_time, htaccess_plugins, in_vector, max_connections, memory_limit,
    merge, of, threads,
};

pub use topics::TopicsConfig;

use std::sync::Arc;
use std::time::Duration;

use crate::compression::CompressionPolicy;
use crate::httpd::section::Section;
use crate::output::{QueuePolicy, SlowClient};
use crate::plugin::{LoadedPlugin, PluginOptions};
use crate::protocol::{DeflateContext, DeflateLevel, OriginPolicy};
use crate::reactor::Threads;
use crate::registry::{DrainTime, Rate};

/// 32 MiB.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 33_554_432;

/// Clients that send a message in pieces send far fewer frames.
pub const DEFAULT_MAX_FRAGMENTS: u32 = 16_384;

/// 256 MiB.
pub const DEFAULT_MEMORY_LIMIT: u64 = 268_435_456;

/// Shorter messages are not compressed: what that saves is not worth the time.
pub const DEFAULT_COMPRESSION_THRESHOLD: u64 = 256;

/// mod_http2 serves at least two streams of a connection at a time, whatever the client does. One
/// of them is left for ordinary requests.
pub const DEFAULT_H2_MAX_STREAMS: usize = 1;

/// Long enough for people and programs to come back one after the other.
pub const DEFAULT_DRAIN_TIME: DrainTime = DrainTime::Limited(Duration::from_secs(5 * 60));

/// This many returning clients in a second cost a server little.
pub const DEFAULT_DRAIN_RATE: Rate = Rate(500);

/// The value of `SetHandler` and `AddHandler` that selects this module.
pub const HANDLER: &str = "websocket-handler";

/// What happens to a request that asks for no WebSocket and that no other handler serves
/// (`WebSocketPlainRequests`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainRequests {
    /// The answer is 426, with a page that says what is here.
    #[default]
    Explain,
    /// httpd answers it with 404, because there is no file.
    Decline,
}

/// Which plugins an `.htaccess` file may name (`WebSocketHtaccessPlugins`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HtaccessPlugins {
    /// Plugins that the server's configuration names in any place.
    #[default]
    Named,
    /// Any library.
    Any,
    /// No plugins.
    None,
}

/// The directives of one section. A field is `None` if the section does not have the directive.
#[derive(Clone, Default)]
pub struct Config {
    pub(super) plugin: Option<Arc<LoadedPlugin>>,
    /// The section that sets `plugin`.
    pub(super) section: Option<Arc<Section>>,
    pub(super) options: PluginOptions,
    pub(super) max_message_size: Option<u64>,
    pub(super) max_fragments: Option<u32>,
    pub(super) send_queue: Option<u64>,
    pub(super) slow_client: Option<SlowClient>,
    pub(super) origin_policy: Option<OriginPolicy>,
    pub(super) trusted_origins: Option<Arc<Vec<Box<str>>>>,
    pub(super) plain_requests: Option<PlainRequests>,
    pub(super) allow_reserved_status_codes: Option<bool>,
    pub(super) compression: Option<bool>,
    pub(super) compression_level: Option<DeflateLevel>,
    pub(super) compression_threshold: Option<u64>,
    pub(super) compression_context: Option<DeflateContext>,
    pub(super) lifespan: LifespanConfig,
    pub(super) event_driven: Option<bool>,
    pub(super) detach: Option<bool>,
    pub(super) drain_time: Option<DrainTime>,
    pub(super) limits: LimitsConfig,
    pub(super) topics: TopicsConfig,
    /// Only at servers and virtual hosts.
    pub(super) h2_max_streams: Option<usize>,
    /// Only at the main server. `Some(None)` means `Off`.
    pub(super) memory_limit: Option<Option<u64>>,
    /// Only at the main server.
    pub(super) threads: Option<Threads>,
    /// Only at the main server.
    pub(super) drain_rate: Option<Rate>,
    /// Only at the main server.
    pub(super) htaccess_plugins: Option<HtaccessPlugins>,
}

impl Config {
    /// The plugin that `WebSocketHandler` names.
    #[must_use]
    pub fn plugin(&self) -> Option<&Arc<LoadedPlugin>> {
        self.plugin.as_ref()
    }

    /// The options of the plugin.
    #[must_use]
    pub fn options(&self) -> &PluginOptions {
        &self.options
    }

    /// The most bytes of a client's message.
    #[must_use]
    pub fn max_message_size(&self) -> u64 {
        self.max_message_size.unwrap_or(DEFAULT_MAX_MESSAGE_SIZE)
    }

    /// The most frames of a client's message.
    #[must_use]
    pub fn max_fragments(&self) -> u32 {
        self.max_fragments.unwrap_or(DEFAULT_MAX_FRAGMENTS)
    }

    /// The limit of a send queue, and what happens when it is full.
    #[must_use]
    pub fn queue_policy(&self) -> QueuePolicy {
        let default = QueuePolicy::default();
        QueuePolicy {
            limit: self.send_queue.map_or(default.limit, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            }),
            slow_client: self.slow_client.unwrap_or(default.slow_client),
        }
    }

    /// How to check the origin of a handshake.
    #[must_use]
    pub fn origin_policy(&self) -> OriginPolicy {
        self.origin_policy.unwrap_or_default()
    }

    /// The origins that `WebSocketOriginCheck Trusted` accepts.
    #[must_use]
    pub fn trusted_origins(&self) -> &[Box<str>] {
        self.trusted_origins.as_deref().map_or(&[], Vec::as_slice)
    }

    /// What happens to requests that ask for no WebSocket.
    #[must_use]
    pub fn plain_requests(&self) -> PlainRequests {
        self.plain_requests.unwrap_or_default()
    }

    /// Whether a client may close with a status code that is reserved for future use.
    #[must_use]
    pub fn allow_reserved_status_codes(&self) -> bool {
        self.allow_reserved_status_codes.unwrap_or(false)
    }

    /// How to compress messages, if at all.
    #[must_use]
    pub fn compression(&self) -> Option<CompressionPolicy> {
        self.compression
            .unwrap_or(false)
            .then(|| CompressionPolicy {
                level: self.compression_level.unwrap_or_default(),
                threshold: self
                    .compression_threshold
                    .unwrap_or(DEFAULT_COMPRESSION_THRESHOLD),
                context: self.compression_context.unwrap_or_default(),
            })
    }

    /// The timeouts and the lifetime of connections.
    #[must_use]
    pub fn lifespan(&self) -> LifespanConfig {
        self.lifespan
    }

    /// Whether a connection may leave its thread after the 101 response, if the MPM allows that.
    #[must_use]
    pub fn is_event_driven(&self) -> bool {
        self.event_driven.unwrap_or(true)
    }

    /// Whether httpd is to forget a connection after the 101 response, if that is possible.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.detach.unwrap_or(false)
    }

    /// How long a connection may stay open in a child process that is ending.
    #[must_use]
    pub fn drain_time(&self) -> DrainTime {
        self.drain_time.unwrap_or(DEFAULT_DRAIN_TIME)
    }

    /// The limits of connections, handshakes and messages.
    #[must_use]
    pub fn limits(&self) -> LimitsConfig {
        self.limits
    }

    /// The settings of topics.
    #[must_use]
    pub fn topics(&self) -> &TopicsConfig {
        &self.topics
    }

    /// Checks that the plugin and the directives go together.
    ///
    /// # Errors
    ///
    /// What is wrong and what to do about it.
    pub fn check(&self) -> Result<(), String> {
        match &self.plugin {
            Some(plugin) if self.is_detached() && !plugin.is_rust() => Err(format!(
                "WebSocketDetach On is only for plugins written in Rust: others may use the \
                 request while the connection lives, {} for one; set WebSocketDetach Off where it \
                 serves",
                plugin.source().name
            )),
            _ => Ok(()),
        }
    }

    /// The most WebSockets of an HTTP/2 connection.
    #[must_use]
    pub fn h2_max_streams(&self) -> usize {
        self.h2_max_streams.unwrap_or(DEFAULT_H2_MAX_STREAMS)
    }

    /// The section that sets the plugin.
    #[must_use]
    pub fn section(&self) -> Option<&Arc<Section>> {
        self.section.as_ref()
    }

    /// The name that counters use for the section that sets the plugin.
    #[must_use]
    pub fn place(&self) -> String {
        self.section
            .as_ref()
            .map_or_else(|| "server".into(), |section| section.name())
    }

    /// Which plugins an `.htaccess` file may name.
    #[must_use]
    pub fn htaccess_plugins(&self) -> HtaccessPlugins {
        self.htaccess_plugins.unwrap_or_default()
    }

    /// Merges the section `inner` into this one around it: what `inner` does not set is inherited.
    pub(super) fn merged_with(&self, inner: &Self) -> Self {
        Self {
            plugin: inner.plugin.clone().or_else(|| self.plugin.clone()),
            section: inner.section.clone().or_else(|| self.section.clone()),
            options: self.options.merged_with(&inner.options),
            max_message_size: inner.max_message_size.or(self.max_message_size),
            max_fragments: inner.max_fragments.or(self.max_fragments),
            send_queue: inner.send_queue.or(self.send_queue),
            slow_client: inner.slow_client.or(self.slow_client),
            origin_policy: inner.origin_policy.or(self.origin_policy),
            trusted_origins: inner
                .trusted_origins
                .clone()
                .or_else(|| self.trusted_origins.clone()),
            plain_requests: inner.plain_requests.or(self.plain_requests),
            allow_reserved_status_codes: inner
                .allow_reserved_status_codes
                .or(self.allow_reserved_status_codes),
            compression: inner.compression.or(self.compression),
            compression_level: inner.compression_level.or(self.compression_level),
            compression_threshold: inner.compression_threshold.or(self.compression_threshold),
            compression_context: inner.compression_context.or(self.compression_context),
            lifespan: self.lifespan.merged_with(inner.lifespan),
            event_driven: inner.event_driven.or(self.event_driven),
            detach: inner.detach.or(self.detach),
            drain_time: inner.drain_time.or(self.drain_time),
            limits: self.limits.merged_with(inner.limits),
            topics: self.topics.merged_with(&inner.topics),
            h2_max_streams: inner.h2_max_streams.or(self.h2_max_streams),
            memory_limit: inner.memory_limit.or(self.memory_limit),
            threads: inner.threads.or(self.threads),
            drain_rate: inner.drain_rate.or(self.drain_rate),
            htaccess_plugins: inner.htaccess_plugins.or(self.htaccess_plugins),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::limits::DEFAULT_RESERVE;
    use super::{
        Config, DEFAULT_DRAIN_RATE, DEFAULT_DRAIN_TIME, DEFAULT_MAX_FRAGMENTS,
        DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_MEMORY_LIMIT,
    };
    use crate::protocol::{DeflateContext, DeflateLevel, OriginPolicy};
    use crate::registry::DrainTime;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_defaults_are_those_in_the_directive_reference() {
        let reference = include_str!("../../../docs/src/directives.md");
        let lifespan = Config::default().lifespan().lifespan();
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let DrainTime::Limited(drain_time) = DEFAULT_DRAIN_TIME else {
            panic!("it is limited");
        };
        for (directive, value) in [
            ("MaxMessageSize", DEFAULT_MAX_MESSAGE_SIZE.to_string()),
            ("MaxFragments", DEFAULT_MAX_FRAGMENTS.to_string()),
            ("MemoryLimit", DEFAULT_MEMORY_LIMIT.to_string()),
            (
                "SendQueue",
                Config::default().queue_policy().limit.to_string(),
            ),
            ("DrainTime", format!("{}min", drain_time.as_secs() / 60)),
            ("DrainRate", DEFAULT_DRAIN_RATE.0.to_string()),
            ("Reserve", DEFAULT_RESERVE.to_string()),
            ("PingInterval", seconds(lifespan.ping_interval.unwrap())),
            ("PingTimeout", seconds(lifespan.ping_timeout)),
            ("MessageTimeout", seconds(lifespan.message_timeout.unwrap())),
        ] {
            let row = format!("| Default | `WebSocket{directive} {value}` |");
            assert!(reference.contains(&row), "no {row}");
        }
    }

    #[test]
    fn an_inner_section_inherits_what_it_does_not_set() {
        let outer = Config {
            max_message_size: Some(1000),
            origin_policy: Some(OriginPolicy::Trusted),
            trusted_origins: Some(Arc::new(vec!["https://a.example".into()])),
            allow_reserved_status_codes: Some(true),
            ..Config::default()
        };
        let inner = Config {
            max_message_size: Some(5),
            ..Config::default()
        };
        let merged = outer.merged_with(&inner);
        assert_eq!(merged.max_message_size(), 5);
        assert_eq!(merged.origin_policy(), OriginPolicy::Trusted);
        assert_eq!(
            merged.trusted_origins(),
            &[Box::<str>::from("https://a.example")]
        );
        assert!(merged.allow_reserved_status_codes());
    }

    #[test]
    fn compression_is_off_until_it_is_switched_on_and_each_setting_is_inherited_by_itself() {
        let outer = Config {
            compression_level: DeflateLevel::new(9),
            compression_threshold: Some(0),
            ..Config::default()
        };
        assert_eq!(outer.compression(), None);
        let inner = Config {
            compression: Some(true),
            compression_threshold: Some(64),
            ..Config::default()
        };
        let policy = outer.merged_with(&inner).compression().unwrap();
        assert_eq!(Some(policy.level), DeflateLevel::new(9));
        assert_eq!(policy.threshold, 64);
        assert_eq!(policy.context, DeflateContext::Shared);
        let innermost = Config {
            compression: Some(false),
            ..Config::default()
        };
        let merged = outer.merged_with(&inner).merged_with(&innermost);
        assert_eq!(merged.compression(), None);
    }

    #[test]
    fn an_inner_list_of_origins_replaces_the_outer_one() {
        let section = |origin: &str| Config {
            trusted_origins: Some(Arc::new(vec![origin.into()])),
            ..Config::default()
        };
        let merged = section("https://a.example").merged_with(&section("https://b.example"));
        assert_eq!(
            merged.trusted_origins(),
            &[Box::<str>::from("https://b.example")]
        );
    }

    #[test]
    fn a_drain_time_is_inherited_and_may_be_set_anew() {
        let section = |drain_time| Config {
            drain_time,
            ..Config::default()
        };
        assert_eq!(section(None).drain_time(), DEFAULT_DRAIN_TIME);
        let unlimited = section(Some(DrainTime::Unlimited));
        let merged = unlimited.merged_with(&section(None));
        assert_eq!(merged.drain_time(), DrainTime::Unlimited);
        let merged = unlimited.merged_with(&section(Some(DEFAULT_DRAIN_TIME)));
        assert_eq!(merged.drain_time(), DEFAULT_DRAIN_TIME);
    }

    #[test]
    fn a_directive_can_be_switched_back_to_its_default() {
        let outer = Config {
            origin_policy: Some(OriginPolicy::Off),
            allow_reserved_status_codes: Some(true),
            ..Config::default()
        };
        let inner = Config {
            origin_policy: Some(OriginPolicy::Same),
            allow_reserved_status_codes: Some(false),
            ..Config::default()
        };
        let merged = outer.merged_with(&inner);
        assert_eq!(merged.origin_policy(), OriginPolicy::Same);
        assert!(!merged.allow_reserved_status_codes());
    }
}
