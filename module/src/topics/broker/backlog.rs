//! What a broker has from before this host began to read it.

use super::connection::Connection;
use crate::topics::hub::describe;
use crate::topics::log::{Backlog, Log, Mark};

/// Notes which messages of the broker are older than this host, if no process of the host has done
/// so. A child does this before it sends the first message, so that its own are newer. Returns how
/// far the broker was read.
pub(super) async fn measure(log: &Log, broker: &mut Connection) -> Result<Mark, String> {
    let mark = log.mark().map_err(|error| describe(&error))?;
    match mark {
        Some(mark) if mark.backlog != Backlog::Unmeasured => Ok(mark),
        _ => {
            let newest = broker.newest().await?.unwrap_or(0);
            log.measure_backlog(newest)
                .map_err(|error| describe(&error))
        }
    }
}
