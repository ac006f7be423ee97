//! When messages are published.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// In milliseconds since 1970.
pub(in crate::topics) fn now() -> u64 {
    milliseconds(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
