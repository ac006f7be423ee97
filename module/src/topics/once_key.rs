//! The keys of messages that are published once.

use sha1::{Digest as _, Sha1};

use super::space::SpaceId;

/// What tells one message from all others: the key that its publisher has chosen, for a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnceKey {
    pub(super) key: [u8; 20],
    /// Tells whether it is the same message.
    pub(super) content: [u8; 20],
}

impl OnceKey {
    /// The key `key` of a user for this message.
    #[must_use]
    pub fn new(
        (space, topic): (SpaceId, &str),
        user: &[u8],
        key: &[u8],
        content: &[&[u8]],
    ) -> Self {
        Self {
            key: digest(&[&space.0, topic.as_bytes(), user, key]),
            content: digest(content),
        }
    }
}

/// A digest of parts that no other parts have.
fn digest(parts: &[&[u8]]) -> [u8; 20] {
    let mut digest = Sha1::new();
    for part in parts {
        digest.update((part.len() as u64).to_ne_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::OnceKey;
    use crate::topics::SpaceId;

    #[test]
    fn a_key_belongs_to_a_space_a_topic_and_a_user() {
        let space = SpaceId::named(b"s");
        let key = |topic, user: &[u8], key: &[u8]| {
            OnceKey::new((space, topic), user, key, &[b"text", b"x"]).key
        };
        let keys = [
            key("a", b"u", b"k"),
            key("b", b"u", b"k"),
            key("a", b"v", b"k"),
            key("a", b"u", b"l"),
            key("au", b"", b"k"),
            key("a", b"uk", b""),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(one), "{index}");
        }
        assert_eq!(key("a", b"u", b"k"), keys[0]);
    }
}
