//! Servers that compress their messages, or do not.

use std::fmt::{self, Display, Formatter};

/// What the messages are, and how they are compressed in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// They are not.
    Off,
    /// Each by itself.
    NoContextTakeover,
    /// With a view to those before it.
    ContextTakeover,
}

impl Compression {
    pub(crate) const ALL: [Self; 3] = [Self::Off, Self::NoContextTakeover, Self::ContextTakeover];

    /// What our module needs for it.
    pub(crate) fn directives(self) -> &'static str {
        match self {
            Self::Off => "WebSocketCompression Off",
            Self::NoContextTakeover => {
                "WebSocketCompression On\nWebSocketCompressionContext Shared"
            }
            Self::ContextTakeover => {
                "WebSocketCompression On\nWebSocketCompressionContext Connection"
            }
        }
    }

    /// What the load generator and its servers need for it.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Off => &[],
            Self::NoContextTakeover => &["--deflate", "no-context-takeover"],
            Self::ContextTakeover => &["--deflate", "context-takeover"],
        }
    }
}

/// For people.
impl Display for Compression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::NoContextTakeover => "each by itself",
            Self::ContextTakeover => "with context",
        })
    }
}
