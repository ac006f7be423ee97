//! Chat rooms in which every member gets every message, whatever process of httpd serves them.
//!
//! The path names the room: `/chat/games` is the room `games`, and `/chat` is the lobby.
//!
//! Clients send JSON: `{"type": "say", "text": "hello"}`, or `{"type": "rename", "name": "alice"}`.
//! They receive [`Event`]s, such as `{"type": "said", "name": "alice", "text": "hello"}`. An
//! authenticated client has its user name; others get a name such as `guest-3fa94c`. The event
//! `you` tells each client its own.
//!
//! A room is two topics: `chat/games` for what is said, and `chat-members/games` for who comes and
//! goes. Virtual hosts have rooms of their own, unless `WebSocketTopicSpace` says otherwise. httpd
//! keeps what is said if `WebSocketTopicHistory` tells it to. The option `history` says
//! how much of that a new member gets (the default is 10 messages).
//!
//! ```apache
//! WebSocketTopicHistory "chat/**" 100 1h
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
use std::hash::{BuildHasher, RandomState};
use std::process;
use websocket_plugin::{
    Close, CloseCode, Disconnect, Handshake, Message, OptionError, Options, Plugin, Rejection,
    Sender, websocket_plugin,
};

/// The longest name, in bytes.
const MAX_NAME: usize = 40;

/// The plugin.
pub struct Chat {
    history: usize,
}

/// A member of a room.
pub struct Member {
    room: Room,
    name: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Request {
    Say { text: String },
    Rename { name: String },
}

/// A message to all members of a room; [`You`](Self::You) goes to one client.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// This is the client's own name.
    You {
        /// The name.
        name: String,
    },
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
        let history = options.parse("history")?.unwrap_or(10);
        Ok(Self { history })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Member, Rejection> {
        let path = handshake.path_info().unwrap_or_default();
        let room = Room::new(path, handshake.topics()?).ok_or(Rejection::NOT_FOUND)?;
        let name = handshake.user().map_or_else(guest, str::to_owned);
        let you = Event::You { name: name.clone() };
        handshake.sender().try_send_json(&you)?;
        room.enter(handshake, self.history)?;
        log::info!("{name} has come in");
        room.tell(&Event::Joined { name: name.clone() })?;
        Ok(Member { room, name })
    }

    fn on_message(&self, member: &mut Member, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let event = match m.json()? {
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
                to.send_json(&Event::You { name: name.clone() })?;
                let from = std::mem::replace(&mut member.name, name.clone());
                Event::Renamed { from, name }
            }
        };
        Ok(member.room.tell(&event)?)
    }

    fn on_disconnect(&self, Member { room, name }: Member, _: Disconnect) {
        // If topics have failed, nobody hears anything, and httpd's log says why.
        let _ = room.tell(&Event::Left { name });
    }
}

/// A name that another guest is unlikely to have, in whatever process.
fn guest() -> String {
    // Processes that were forked may have the same random numbers.
    let random = RandomState::new().hash_one(process::id());
    format!("guest-{:06x}", random & 0xff_ffff)
}

#[cfg(test)]
mod tests;
