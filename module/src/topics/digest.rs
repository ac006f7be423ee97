//! What stands for names of any length.

use sha1::{Digest as _, Sha1};

/// The start of a hash, the same in all processes and on all hosts.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    let mut digest = [0; 8];
    digest.copy_from_slice(&hash.finalize()[..8]);
    digest
}
