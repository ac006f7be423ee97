//! A chat room in which every member gets every message.
//!
//! Clients send JSON: `{"type": "say", "text": "hello"}`, or `{"type": "rename", "name": "alice"}`.
//! They receive [`Event`]s, such as `{"type": "said", "name": "alice", "text": "hello"}`. An
//! authenticated client has its user name; others are called `guest-1` and so on.
//!
//! Each process of httpd has its own room. Run a single process (`ServerLimit 1` of the event MPM),
//! or connect the rooms through a database.
//!
//! The plugin sends from its callbacks, also from `on_connect`. This deadlocks in the C module,
//! where a separate thread would have to send.
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

/// The longest name, in bytes.
const MAX_NAME: usize = 40;

/// The plugin.
pub struct Chat {
    room: Room,
}

/// A member of the room.
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

/// A message to all members.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// A member has joined.
    Joined {
        /// The member.
        name: String,
    },
    /// A member has sent a message.
    Said {
        /// The member.
        name: String,
        /// The message.
        text: String,
    },
    /// A member has changed their name.
    Renamed {
        /// The old name.
        from: String,
        /// The new name.
        name: String,
    },
    /// A member has left.
    Left {
        /// The member.
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
            // An error means that the client has left or that its queue is full. In the first case
            // `on_disconnect` follows; in the second case the client misses old messages.
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
