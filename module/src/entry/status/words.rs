//! The words for what reports have numbers for.

use crate::entry::refused::Cause;
use crate::httpd::scoreboard::MetricKind;
use crate::protocol::Closer;

/// The word for who closed a connection, by its number in the report.
pub(super) fn closer_word(closer: usize) -> &'static str {
    Closer::ALL
        .get(closer)
        .map_or("other", |closer| closer.word())
}

/// Each cause of refused handshakes and how many there were, from the numbers in the report.
pub(super) fn refused(counts: &[u64]) -> impl Iterator<Item = (&'static str, u64)> {
    Cause::ALL
        .into_iter()
        .map(Cause::word)
        .zip(counts.iter().copied())
}

/// The word for what a metric counts.
pub(super) fn kind_word(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    }
}
