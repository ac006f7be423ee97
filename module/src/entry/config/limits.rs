//! `WebSocketReserve` and the limits of one section.

use crate::httpd::quota::Burden;
use crate::protocol::{MessageRate, Rate};

/// The default of `WebSocketReserve`, in percent of the MPM's capacity.
pub const DEFAULT_RESERVE: u8 = 10;

/// The limits of one section. A field is `None` if the section does not have the directive, and
/// `Some(None)` for `Off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    pub(in crate::entry) reserve: Option<u8>,
    /// Only at servers and virtual hosts.
    pub(in crate::entry) max_connections: Option<Option<usize>>,
    pub(in crate::entry) max_per_client: Option<Option<usize>>,
    pub(in crate::entry) handshake_rate: Option<Option<Rate>>,
    pub(in crate::entry) message_rate: Option<Option<MessageRate>>,
}

impl LimitsConfig {
    /// How many percent of the MPM's capacity are kept for other requests. If each WebSocket holds
    /// a thread, the default is 0, as in the C module.
    #[must_use]
    pub fn reserve(self, burden: Burden) -> u8 {
        self.reserve.unwrap_or(match burden {
            Burden::Connection => DEFAULT_RESERVE,
            Burden::Thread | Burden::Nothing => 0,
        })
    }

    /// The most WebSockets of the server or virtual host.
    #[must_use]
    pub fn max_connections(self) -> Option<usize> {
        self.max_connections.flatten()
    }

    /// The most WebSockets of a client.
    #[must_use]
    pub fn max_per_client(self) -> Option<usize> {
        self.max_per_client.flatten()
    }

    /// How often a client may ask for a WebSocket.
    #[must_use]
    pub fn handshake_rate(self) -> Option<Rate> {
        self.handshake_rate.flatten()
    }

    /// How often a client may send messages on one connection.
    #[must_use]
    pub fn message_rate(self) -> Option<MessageRate> {
        self.message_rate.flatten()
    }

    /// Merges the section `inner` into this one around it: what `inner` does not set is inherited.
    pub(super) fn merged_with(self, inner: Self) -> Self {
        Self {
            reserve: inner.reserve.or(self.reserve),
            max_connections: inner.max_connections.or(self.max_connections),
            max_per_client: inner.max_per_client.or(self.max_per_client),
            handshake_rate: inner.handshake_rate.or(self.handshake_rate),
            message_rate: inner.message_rate.or(self.message_rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Burden, LimitsConfig, MessageRate, Rate};
    use crate::protocol::Excess;
    use std::time::Duration;

    #[test]
    fn a_tenth_is_kept_unless_an_outer_or_inner_section_says_otherwise() {
        let section = |reserve| LimitsConfig {
            reserve,
            ..LimitsConfig::default()
        };
        let reserve = |config: LimitsConfig| config.reserve(Burden::Connection);
        assert_eq!(reserve(section(None)), 10);
        assert_eq!(section(None).reserve(Burden::Thread), 0);
        assert_eq!(reserve(section(Some(20)).merged_with(section(None))), 20);
        assert_eq!(reserve(section(Some(20)).merged_with(section(Some(0)))), 0);
        assert_eq!(section(Some(20)).reserve(Burden::Thread), 20);
    }

    #[test]
    fn limits_are_off_are_inherited_one_by_one_and_can_be_switched_off_again() {
        let nothing = LimitsConfig::default();
        assert_eq!(nothing.max_connections(), None);
        assert_eq!(nothing.max_per_client(), None);
        assert_eq!(nothing.handshake_rate(), None);
        assert_eq!(nothing.message_rate(), None);
        let rate = Rate::new(10, Duration::from_secs(1), 5);
        let outer = LimitsConfig {
            max_connections: Some(Some(100)),
            max_per_client: Some(Some(5)),
            handshake_rate: Some(rate),
            message_rate: Some(rate.map(|rate| MessageRate {
                rate,
                excess: Excess::Closes,
            })),
            ..nothing
        };
        assert_eq!(outer.merged_with(nothing), outer);
        let inner = LimitsConfig {
            max_per_client: Some(None),
            ..nothing
        };
        let merged = outer.merged_with(inner);
        assert_eq!(merged.max_per_client(), None);
        assert_eq!(merged.max_connections(), Some(100));
        assert_eq!(merged.handshake_rate(), rate);
    }
}
