//! What senders know of their client.

use crate::abi::{REQUEST_CLIENT_ADDRESS, REQUEST_PATH_INFO, REQUEST_USER};
use crate::handshake::Facts;
use std::sync::atomic::{AtomicU64, Ordering};

/// The client of a connection: the texts of its request that stay of interest.
pub(super) struct Peer {
    pub(super) id: u64,
    /// All texts, one behind the other.
    texts: Box<str>,
    /// Where each ends in `texts`; `None`: there is none.
    ends: [Option<usize>; COUNT],
}

const ADDRESS: usize = 0;
const USER: usize = 1;
const PATH: usize = 2;
const COUNT: usize = 3;

impl Peer {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let found = [
            facts.text(REQUEST_CLIENT_ADDRESS),
            facts.text(REQUEST_USER),
            facts.text(REQUEST_PATH_INFO),
        ];
        let mut texts = String::with_capacity(found.iter().flatten().map(|text| text.len()).sum());
        let ends = found.map(|text| {
            texts.push_str(text?);
            Some(texts.len())
        });
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            texts: texts.into(),
            ends,
        }
    }

    pub(super) fn client_address(&self) -> Option<&str> {
        self.text(ADDRESS)
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.text(USER)
    }

    pub(super) fn path_info(&self) -> Option<&str> {
        self.text(PATH)
    }

    fn text(&self, number: usize) -> Option<&str> {
        let end = self.ends[number]?;
        let start = self.ends[..number].iter().rev().find_map(|end| *end);
        Some(&self.texts[start.unwrap_or(0)..end])
    }
}
