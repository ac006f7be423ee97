//! Topics of different virtual hosts have nothing to do with each other, unless they share a space.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::digest;

/// A set of topics. Two with the same name are the same, in all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpaceId(pub(super) [u8; 8]);

impl SpaceId {
    /// No server has this one.
    pub(super) const NONE: Self = Self([0; 8]);

    /// The space of this name (`WebSocketTopicSpace`).
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        Self::of(b"name", name)
    }

    /// The space of a virtual host; of the main server for an empty name.
    #[must_use]
    pub fn of_host(name: &[u8]) -> Self {
        Self::of(b"host", name)
    }

    fn of(kind: &[u8], name: &[u8]) -> Self {
        Self(digest(&[kind, name]))
    }
}

impl fmt::Display for SpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::SpaceId;

    #[test]
    fn a_name_and_a_virtual_host_are_never_the_same_space() {
        assert_eq!(SpaceId::named(b"a"), SpaceId::named(b"a"));
        assert_ne!(SpaceId::named(b"a"), SpaceId::named(b"b"));
        assert_ne!(SpaceId::named(b"a"), SpaceId::of_host(b"a"));
    }
}
