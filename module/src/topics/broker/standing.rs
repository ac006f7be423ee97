//! What the status shows of this child's connections to the broker.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::httpd::scoreboard::{Gauge, Link, set_gauge};

/// The child sends what it publishes by a connection that is like this.
pub(super) fn note_sends(link: Link) {
    set_gauge(Gauge::Sends, link as u64);
    if link != Link::Connected {
        set_gauge(Gauge::Behind, 0);
    }
}

/// The child gets the messages for this host by a connection that is like this since now.
pub(super) fn note_imports(link: Link) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    set_gauge(Gauge::ImportsSince, now.map_or(0, |now| now.as_secs()));
    set_gauge(Gauge::Imports, link as u64);
}

/// So many messages the broker has that this host has not got.
pub(super) fn note_behind(count: u64) {
    set_gauge(Gauge::Behind, count);
}
