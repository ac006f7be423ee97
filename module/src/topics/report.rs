//! What hosts tell each other of who is on topics. `docs/src/brokers.md` describes it.
//!
//! A report travels as a message to a topic that nobody can subscribe to, through the same broker
//! and in the same order as all messages. It is in no history.

use serde::{Deserialize, Serialize};

use super::log::{Change, HostId, Listed};
use super::message::{Kind, Message};
use super::space::SpaceId;

/// The topic of reports, in a space that no server has.
const TOPIC: &str = "hosts";

/// What a host tells the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// Who tells it.
    pub(super) host: HostId,
    /// Each report of a host that tells of changes, or is a part of a whole, has the next number.
    /// All others have the number of the last one that has.
    pub(super) number: u64,
    pub(super) what: What,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) topics: Vec<Told>,
}

/// What kind of report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// What has changed since the report before.
    Changes,
    /// A part of all that there is, for those who know nothing.
    Whole { is_first: bool, is_last: bool },
    /// The host is there, and nothing has changed.
    Alive,
    /// The host asks the others for all that they have.
    Ask,
}

/// What a host tells of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) space: SpaceId,
    pub(super) topic: Box<str>,
    /// How many of the host's clients are on it now.
    pub(super) count: u32,
    /// Those who have come, where members are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) joined: Vec<Listed>,
    /// Those who have gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left: Vec<u64>,
}

impl Report {
    /// The message, as it goes to the broker.
    pub(super) fn write(&self) -> Vec<u8> {
        // A struct of numbers and texts can always be written.
        let payload = serde_json::to_vec(self).unwrap_or_default();
        let message = Message {
            space: SpaceId::NONE,
            topic: TOPIC,
            kind: Kind::Presence,
            position: None,
            payload: &payload,
        };
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        bytes
    }

    /// Reads the payload of a message that [is a report](is_report).
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

impl From<Change> for Told {
    fn from(change: Change) -> Self {
        let Change {
            space,
            topic,
            count,
            joined,
            left,
        } = change;
        Self {
            space,
            topic,
            count,
            joined,
            left,
        }
    }
}

impl From<Told> for Change {
    fn from(told: Told) -> Self {
        let Told {
            space,
            topic,
            count,
            joined,
            left,
        } = told;
        Self {
            space,
            topic,
            count,
            joined,
            left,
        }
    }
}

/// Whether a message of a broker is a report.
pub(super) fn is_report(message: &Message<'_>) -> bool {
    message.kind == Kind::Presence && message.space == SpaceId::NONE && message.topic == TOPIC
}

#[cfg(test)]
mod tests {
    use super::{HostId, Listed, Message, Report, SpaceId, Told, What, is_report};

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = Report {
            host: HostId::new(),
            number: 7,
            what: What::Whole {
                is_first: true,
                is_last: false,
            },
            topics: vec![Told {
                space: SpaceId::named(b"s"),
                topic: "a/b".into(),
                count: 2,
                joined: vec![Listed {
                    id: u64::MAX,
                    user: None,
                    info: Some("\"x\"".into()),
                }],
                left: vec![3],
            }],
        };
        let bytes = report.write();
        let message = Message::read(&bytes).unwrap();
        assert!(is_report(&message));
        assert_eq!(Report::read(message.payload), Some(report));
        assert_eq!(Report::read(b"{}"), None);
    }
}
