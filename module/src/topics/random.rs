//! Numbers that nobody can guess.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
