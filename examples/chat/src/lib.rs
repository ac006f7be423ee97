//! A room in which everybody hears everybody.
//!
//! Clients send JSON: `{"type": "say", "text": "hello"}`, or `{"type": "rename", "name": "alice"}`.
//! They hear [`Event`]s: `{"type": "said", "name": "alice", "text": "hello"}` and others. Who is
//! authenticated has the name of that user, others are called `guest-1` and so on.
//!
//! The room is that of one process: clients of another process of httpd are in another room. Run a
//! single one (`ServerLimit 1` of the event MPM), or connect the rooms through a database.
//!
//! It sends from its callbacks, `on_connect` among them, which hangs in the C module: there a thread of its own
//! would have to send.
//!
//! ```apache
//! <Location "/chat">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_chat.so chat_init
//!     WebSocketPluginOption history 20
//! </Location>
//! ```
#![forbid(unsafe_code)]

mod room;

use room::Room;
use serde::{Deserialize, Serialize};
use websocket_plugin::{
    Close, CloseCode, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender,
    websocket_plugin,
};

/// Longer names are refused.
const MAX_NAME: usize = 40;

/// The plugin.
pub struct Chat {
    room: Room,
}

/// Somebody in the room.
pub struct Member {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Request {
    Say { text: String },
    Rename { name: String },
}

/// What everybody hears.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// Somebody has come in.
    Joined {
        /// Who.
        name: String,
    },
    /// Somebody has said something.
    Said {
        /// Who.
        name: String,
        /// What.
        text: String,
    },
    /// Somebody has another name.
    Renamed {
        /// Whom we knew as this.
        from: String,
        /// Who now.
        name: String,
    },
    /// Somebody has left.
    Left {
        /// Who.
        name: String,
    },
}

#[websocket_plugin]
impl Plugin for Chat {
    type Connection = Member;

    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["history"])?;
        Ok(Self {
            room: Room::new(options.parse("history")?.unwrap_or(10)),
        })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Member, Rejection> {
        let sender = handshake.sender();
        let (id, said) = self.room.enter(sender.clone());
        for event in said {
            // Who has left already is missed in on_disconnect, as everybody else. What there is no room for
            // is left out.
            let _ = sender.try_send_json(&event);
        }
        let name = handshake
            .user()
            .map_or_else(|| format!("guest-{id}"), str::to_owned);
        log::info!("{name} has come in");
        self.room.tell(&Event::Joined { name: name.clone() });
        Ok(Member { id, name })
    }

    fn on_message(&self, member: &mut Member, _: &Sender, m: Message<'_>) -> Result<(), Close> {
        let request: Request = m
            .json()
            .map_err(|e| Close::new(CloseCode::INVALID_PAYLOAD, e.to_string()))?;
        let event = match request {
            Request::Say { text } => Event::Said {
                name: member.name.clone(),
                text,
            },
            Request::Rename { name } if name.is_empty() || name.len() > MAX_NAME => {
                return Err(Close::new(
                    CloseCode::POLICY_VIOLATION,
                    "no name, or too long",
                ));
            }
            Request::Rename { name } => {
                let from = std::mem::replace(&mut member.name, name.clone());
                Event::Renamed { from, name }
            }
        };
        self.room.tell(&event);
        Ok(())
    }

    fn on_disconnect(&self, member: Member) {
        self.room.leave(member.id);
        self.room.tell(&Event::Left { name: member.name });
    }
}

#[cfg(test)]
mod tests;
