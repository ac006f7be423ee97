//! What `WebSocketReserve` and the limits set, in one section.

use crate::httpd::quota::Burden;

/// Percent of what the MPM can hold.
pub const DEFAULT_RESERVE: u8 = 10;

/// The limits of one section; `None` where a directive does not stand in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    pub(in crate::entry) reserve: Option<u8>,
}

impl LimitsConfig {
    /// How many percent of what the MPM can hold are kept for ordinary requests. Where each
    /// WebSocket holds a thread, as with the C module, none are unless somebody says so.
    #[must_use]
    pub fn reserve(self, burden: Burden) -> u8 {
        self.reserve.unwrap_or(match burden {
            Burden::Connection => DEFAULT_RESERVE,
            Burden::Thread | Burden::Nothing => 0,
        })
    }

    /// The section `inner` inside this one: what it sets counts, the rest is inherited.
    pub(super) fn merged_with(self, inner: Self) -> Self {
        Self {
            reserve: inner.reserve.or(self.reserve),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Burden, LimitsConfig};

    #[test]
    fn a_tenth_is_kept_unless_an_outer_or_inner_section_says_otherwise() {
        let section = |reserve| LimitsConfig { reserve };
        let reserve = |config: LimitsConfig| config.reserve(Burden::Connection);
        assert_eq!(reserve(section(None)), 10);
        assert_eq!(section(None).reserve(Burden::Thread), 0);
        assert_eq!(reserve(section(Some(20)).merged_with(section(None))), 20);
        assert_eq!(reserve(section(Some(20)).merged_with(section(Some(0)))), 0);
        assert_eq!(section(Some(20)).reserve(Burden::Thread), 20);
    }
}
