//! The words for what reports have numbers for.

/// The words for who closed a connection, by number.
const CLOSERS: [&str; 8] = [
    "client", "plugin", "error", "timeout", "drain", "limit", "shutdown", "lost",
];

/// The word for who closed a connection, by its number in the report.
pub(super) fn closer_word(closer: usize) -> &'static str {
    CLOSERS.get(closer).copied().unwrap_or("other")
}

/// The words for why handshakes are refused, by number.
pub(super) const CAUSES: [&str; 0] = [];
