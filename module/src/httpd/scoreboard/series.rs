//! What was counted for one location and plugin.

use super::histogram::Distribution;

/// The most causes of refused handshakes that are counted by themselves.
pub const CAUSES: usize = 16;

/// The words for status codes in reports. The first 16 are those from 1000 on.
pub const CODES: [&str; 19] = [
    "1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011",
    "1012", "1013", "1014", "1015", "3xxx", "4xxx", "other",
];

/// What was counted for one location and plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Where the plugin is set.
    pub location: String,
    /// The plugin.
    pub plugin: String,
    /// WebSockets that are open.
    pub open: u64,
    /// Those that ever were.
    pub accepted: u64,
    /// Bytes that wait for clients.
    pub queued: u64,
    /// Messages and bytes of clients.
    pub received: [u64; 2],
    /// Messages and bytes for clients.
    pub sent: [u64; 2],
    /// Bytes before and after compression, of what was sent.
    pub deflated: [u64; 2],
    /// Bytes before and after decompression, of what was received.
    pub inflated: [u64; 2],
    /// How long turns took in which messages went to the plugin.
    pub turns: Distribution,
    /// From a ping to its pong.
    pub pings: Distribution,
    /// Refused handshakes, by the number of the cause.
    pub refused: [u64; CAUSES],
    /// Ended WebSockets; none twice.
    pub closed: Vec<Closed>,
}

/// How many WebSockets were closed in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The number of who closed it.
    pub by: usize,
    /// The place of the code in [`CODES`].
    pub code: usize,
    /// How many.
    pub count: u64,
}

impl Series {
    /// Whether anything was counted.
    pub(super) fn has_any(&self) -> bool {
        self.accepted > 0 || self.refused.iter().any(|count| *count > 0)
    }
}
