//! Which broker messages come from.

use std::fmt;

use crate::topics::digest::digest;

/// Identifies a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topics) struct SourceId(pub(super) [u8; 8]);

/// A broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topics) struct Source {
    pub(in crate::topics) id: SourceId,
    /// Offsets of a topic grow, and some are left out. Otherwise they follow each other.
    pub(in crate::topics) has_holes: bool,
}

impl SourceId {
    pub(in crate::topics) fn named(name: &str) -> Self {
        Self(digest(&[name.as_bytes()]))
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}
