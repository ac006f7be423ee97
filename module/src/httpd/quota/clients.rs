//! How many WebSockets each client has.
//!
//! Each counted WebSocket has an entry, with the id of the process that serves it. The entry lies
//! near the position that the key of its client points to. There is no other count, so clearing the
//! entries of a killed child clears all it has counted.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The entry of one WebSocket.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Entry {
    /// The process id. 0: the entry is free.
    owner: AtomicU32,
    _unused: u32,
    /// The client's key. 0: it is not written yet.
    client: AtomicU64,
}

/// The key of a client. Equal keys count as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientKey(u64);

impl ClientKey {
    /// The client with this address, which is a text. All addresses of an IPv6 network of 64 bits
    /// belong to one client. `seed` keeps clients from finding out which others have the same key.
    #[must_use]
    pub fn new(address: &[u8], seed: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        match parse(address) {
            Some(IpAddr::V4(address)) => hasher.write(&address.octets()),
            Some(IpAddr::V6(address)) => hasher.write(&address.octets()[..8]),
            None => hasher.write(address),
        }
        Self(hasher.finish().max(1))
    }

    /// Another key for the same client, to count something else: `about` says what.
    pub(super) fn about(self, about: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        about.hash(&mut hasher);
        Self(hasher.finish().max(1))
    }

    /// The position at which to begin to search `entries` entries.
    pub(super) fn home(self, entries: usize) -> usize {
        usize::try_from(self.0 % (entries as u64).max(1)).unwrap_or(0)
    }

    /// A part of the key other than the one that [`home`](Self::home) uses.
    pub(super) fn tag(self) -> u64 {
        self.0 >> 44
    }
}

fn parse(address: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(address).ok()?;
    // What follows `%` is the interface of a link-local address.
    let (text, _) = text.split_once('%').unwrap_or((text, ""));
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// Takes an entry for a WebSocket that process `owner` is going to open for a client. Returns the
/// entry, and how many WebSockets the client then has.
///
/// It searches enough entries to find `most` of this client's among many others. If all of them are
/// taken, the WebSocket gets none. Then entries of other clients may keep this client from being
/// limited.
pub(super) fn claim(
    entries: &[Entry],
    client: ClientKey,
    owner: u32,
    most: usize,
) -> (Option<&Entry>, usize) {
    let window = most.saturating_mul(4).saturating_add(64).min(entries.len());
    let home = client.home(entries.len());
    let (before, behind) = entries.split_at(home);
    let near = || behind.iter().chain(before).take(window);
    let own = near().find(|entry| entry.take(owner));
    if let Some(own) = own {
        own.client.store(client.0, Ordering::SeqCst);
    }
    let count = near().filter(|entry| entry.is_of(client)).count();
    (own, count + usize::from(own.is_none()))
}

/// Frees the entries of a process that has ended.
pub(super) fn clear(entries: &[Entry], owner: u32) {
    for entry in entries {
        if entry.owner.load(Ordering::Acquire) == owner {
            entry.free();
        }
    }
}

impl Entry {
    fn take(&self, owner: u32) -> bool {
        let (success, failure) = (Ordering::SeqCst, Ordering::Relaxed);
        self.owner.load(Ordering::Relaxed) == 0
            && self
                .owner
                .compare_exchange(0, owner, success, failure)
                .is_ok()
    }

    fn is_of(&self, client: ClientKey) -> bool {
        self.client.load(Ordering::SeqCst) == client.0
    }

    pub(super) fn free(&self) {
        self.client.store(0, Ordering::SeqCst);
        self.owner.store(0, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientKey, Entry, claim, clear};

    fn entries(count: usize) -> Vec<Entry> {
        std::iter::repeat_with(Entry::default).take(count).collect()
    }

    fn key(address: &str) -> ClientKey {
        ClientKey::new(address.as_bytes(), 7)
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_64_bits() {
        for (one, other, is_same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("fe80::1%eth0", "fe80::2%eth1", true),
            ("unix", "unix", true),
            ("unix", "", false),
        ] {
            assert_eq!(key(one) == key(other), is_same, "{one} {other}");
        }
        assert_ne!(key("192.0.2.1"), ClientKey::new(b"192.0.2.1", 8));
    }

    #[test]
    fn each_client_is_counted_by_itself_and_entries_are_used_again() {
        let entries = entries(256);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(key);
        for count in 1..=20 {
            assert_eq!(claim(&entries, one, 5, 20).1, count);
        }
        let (entry, count) = claim(&entries, other, 6, 20);
        assert_eq!(count, 1);
        entry.unwrap().free();
        assert_eq!(claim(&entries, other, 6, 20).1, 1);
    }

    #[test]
    fn entries_of_a_dead_process_are_cleared() {
        let entries = entries(128);
        let client = key("192.0.2.1");
        for owner in [5, 6, 5, 5] {
            claim(&entries, client, owner, 4);
        }
        clear(&entries, 5);
        assert_eq!(claim(&entries, client, 7, 4).1, 2);
    }

    #[test]
    fn a_client_is_limited_although_its_own_websockets_take_all_entries_nearby() {
        let entries = entries(1024);
        let client = key("192.0.2.1");
        for count in 1..=200 {
            assert_eq!(claim(&entries, client, 5, 1000).1, count);
        }
        // Another section of the configuration allows it 5.
        let (entry, count) = claim(&entries, client, 5, 5);
        assert!(entry.is_none() && count > 5);
    }

    #[test]
    fn there_may_be_no_entry_left() {
        let entries = entries(4);
        for _ in 0..4 {
            assert!(claim(&entries, key("192.0.2.1"), 5, 100).0.is_some());
        }
        assert!(claim(&entries, key("192.0.2.1"), 5, 100).0.is_none());
        let (entry, count) = claim(&entries, key("192.0.2.2"), 5, 100);
        assert!(entry.is_none());
        assert_eq!(count, 1);
        assert!(claim(&[], key("192.0.2.1"), 5, 100).0.is_none());
    }
}
