//! Which broker messages come from.

use std::fmt;

use sha1::{Digest as _, Sha1};

/// Identifies a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topics) struct SourceId(pub(super) [u8; 8]);

impl SourceId {
    pub(in crate::topics) fn named(name: &str) -> Self {
        let digest = Sha1::digest(name);
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self(id)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}
