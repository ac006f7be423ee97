//! What an administrator has set for a broker.

use super::address::{Address, Kind};
use super::credentials::Credentials;
use crate::httpd::commons::Commons;
use crate::httpd::lease::Lease;
use crate::topics::log::{Source, SourceId};

/// What an administrator has set (`WebSocketTopicBroker`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker is.
    pub address: Address,
    /// Who this host is to it.
    pub credentials: Option<Credentials>,
    /// In PEM: the authorities that certify the broker; `None`: those of the system.
    pub authorities: Option<Vec<u8>>,
    /// The broker keeps about so many messages, for hosts that were cut off.
    pub keep: u32,
}

/// How many messages a broker keeps if nothing else is set.
pub const DEFAULT_KEEP: u32 = 10_000;

impl Settings {
    /// The broker, for the log.
    pub(in crate::topics) fn source(&self) -> Source {
        Source {
            id: SourceId::named(&self.address.to_string()),
            // Offsets of NATS are those of all topics together.
            has_holes: self.address.kind == Kind::Nats,
        }
    }

    /// The file that the importing child of this host has locked.
    pub(in crate::topics) fn lease(&self, commons: &Commons) -> Lease {
        Lease::new(commons.lock_file(&self.source().id))
    }
}
