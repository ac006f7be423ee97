//! The directives about timeouts and the lifetime of connections.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use crate::protocol::Lifespan;

/// How long a client may be silent before it is pinged, by default. Many NATs and load balancers
/// forget a connection that has carried no bytes for a minute.
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a pinged client may take to answer, by default.
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long half a frame or message is kept while no more of it comes, by default.
const DEFAULT_MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The times of one section. A field is `None` if the section does not have the directive, and
/// `Some(None)` for `Off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifespanConfig {
    pub(in crate::entry) ping_interval: Option<Option<Duration>>,
    pub(in crate::entry) ping_timeout: Option<Duration>,
    pub(in crate::entry) idle_timeout: Option<Option<Duration>>,
    pub(in crate::entry) message_timeout: Option<Option<Duration>>,
    pub(in crate::entry) max_lifetime: Option<Option<Duration>>,
}

impl LifespanConfig {
    /// Merges the section `inner` into this one around it.
    pub(super) fn merged_with(self, inner: Self) -> Self {
        Self {
            ping_interval: inner.ping_interval.or(self.ping_interval),
            ping_timeout: inner.ping_timeout.or(self.ping_timeout),
            idle_timeout: inner.idle_timeout.or(self.idle_timeout),
            message_timeout: inner.message_timeout.or(self.message_timeout),
            max_lifetime: inner.max_lifetime.or(self.max_lifetime),
        }
    }

    /// The times of a new connection. Its lifetime varies by up to a tenth, so that connections
    /// that began together do not end together.
    #[must_use]
    pub fn lifespan(self) -> Lifespan {
        self.with_random(RandomState::new().build_hasher().finish())
    }

    fn with_random(self, random: u64) -> Lifespan {
        let lifetime = self.max_lifetime.flatten();
        Lifespan {
            ping_interval: self.ping_interval.unwrap_or(Some(DEFAULT_PING_INTERVAL)),
            ping_timeout: self.ping_timeout.unwrap_or(DEFAULT_PING_TIMEOUT),
            idle_timeout: self.idle_timeout.flatten(),
            message_timeout: self
                .message_timeout
                .unwrap_or(Some(DEFAULT_MESSAGE_TIMEOUT)),
            lifetime: lifetime.map(|lifetime| varied(lifetime, random)),
        }
    }
}

/// A random time from nine to eleven tenths of `time`.
fn varied(time: Duration, random: u64) -> Duration {
    const STEPS: u32 = 1 << 16;
    let part = u32::from(u16::try_from(random % u64::from(STEPS)).unwrap_or(0));
    time * 9 / 10 + time * part / (5 * STEPS)
}

#[cfg(test)]
mod tests {
    use super::{Lifespan, LifespanConfig};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn by_default_silence_and_half_messages_end_a_connection_and_age_does_not() {
        let expected = Lifespan {
            ping_interval: Some(30 * SECOND),
            ping_timeout: 20 * SECOND,
            idle_timeout: None,
            message_timeout: Some(60 * SECOND),
            lifetime: None,
        };
        assert_eq!(LifespanConfig::default().lifespan(), expected);
    }

    #[test]
    fn an_inner_section_may_switch_off_what_the_outer_one_sets_and_inherits_the_rest() {
        let outer = LifespanConfig {
            ping_interval: Some(Some(SECOND)),
            ping_timeout: Some(2 * SECOND),
            idle_timeout: Some(Some(3 * SECOND)),
            message_timeout: Some(Some(5 * SECOND)),
            max_lifetime: Some(Some(4 * SECOND)),
        };
        let inner = LifespanConfig {
            ping_interval: Some(None),
            idle_timeout: Some(None),
            ..LifespanConfig::default()
        };
        let expected = LifespanConfig {
            ping_interval: Some(None),
            ping_timeout: Some(2 * SECOND),
            idle_timeout: Some(None),
            message_timeout: Some(Some(5 * SECOND)),
            max_lifetime: Some(Some(4 * SECOND)),
        };
        assert_eq!(outer.merged_with(inner), expected);
        assert_eq!(outer.merged_with(LifespanConfig::default()), outer);
        assert_eq!(expected.lifespan().ping_interval, None);
    }

    #[test]
    fn a_lifetime_varies_by_a_tenth() {
        let config = LifespanConfig {
            max_lifetime: Some(Some(1000 * SECOND)),
            ..LifespanConfig::default()
        };
        let lifetime = |random| config.with_random(random).lifetime.unwrap();
        assert_eq!(lifetime(0), 900 * SECOND);
        assert_eq!(lifetime(1 << 15), 1000 * SECOND);
        let most = lifetime(u64::MAX);
        assert!(most > 1099 * SECOND && most <= 1100 * SECOND, "{most:?}");
        assert_ne!(config.lifespan().lifetime, config.lifespan().lifetime);
    }
}
