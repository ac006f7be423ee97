//! Counters that all players in a room share, whatever process of httpd serves them.
//!
//! The path names the room: `/counter/red?name=alice`. A player sends `{"clicks": 1}`. Everybody in
//! the room gets each click in an envelope, as the protocol of topics describes it, and the offset
//! in its `position` is the count. Every `interval` milliseconds a player is told who plays:
//! `{"players": ["alice", "bob"]}`.
//!
//! ```apache
//! WebSocketTopicHistory "counter/*" Latest
//! WebSocketTopicPresence "counter/*"
//! <Location "/counter">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_counter.so counter_init
//!     WebSocketPluginOption interval 500
//! </Location>
//! ```
#![forbid(unsafe_code)]

use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use websocket_plugin::{
    Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, Subscription,
    Topics, websocket_plugin,
};

/// The plugin.
pub struct Counter(Duration);

/// A player in a room.
pub struct Player {
    name: String,
    room: String,
    topics: Topics,
}

#[derive(Deserialize)]
struct Request {
    clicks: u8,
}

#[websocket_plugin]
impl Plugin for Counter {
    type Connection = Player;
    /// It is time to tell the player who plays.
    type Event = ();

    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["interval"])?;
        let interval = options.parse("interval")?.unwrap_or(1000);
        Ok(Self(Duration::from_millis(interval)))
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Player, Rejection> {
        let Some(name) = handshake
            .query_value("name")
            .filter(|name| !name.is_empty())
        else {
            return Err(Rejection::UNAUTHORIZED
                .with_header("WWW-Authenticate", "Name realm=\"counter\"")?
                .with_body("say who you are: /counter?name=alice\n"));
        };
        let room = format!("counter{}", handshake.path_info().unwrap_or_default());
        if !room.contains('/') || room.contains('*') {
            return Err(Rejection::NOT_FOUND); // a star would be all rooms
        }
        handshake.subscribe(Subscription::to(&room).in_envelope().with_info(&name))?;
        handshake.sender().post::<Self>(())?;
        log::info!("{name} plays in {room}");
        let (name, topics) = (name.into_owned(), handshake.topics()?);
        Ok(Player { name, room, topics })
    }

    fn on_message(&self, player: &mut Player, _: &Sender, m: Message<'_>) -> Result<(), Close> {
        for _ in 0..m.json::<Request>()?.clicks {
            player.topics.publish_json(&player.room, &player.name)?;
        }
        Ok(())
    }

    fn on_event(&self, player: &mut Player, to: &Sender, (): ()) -> Result<(), Close> {
        let members = player.topics.presence(&player.room)?.into_iter();
        let names: Vec<_> = members.filter_map(|member| member.info).collect();
        to.send_json(&BTreeMap::from([("players", names)]))?;
        Ok(to.after::<Self>(self.0, ())?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counter, Duration};
    use websocket_plugin::testing::{Host, Request};

    fn player(room: &str, query: &str) -> Request {
        Request::new().path_info(room).query(query)
    }

    #[test]
    fn a_room_counts_in_all_processes() {
        let host = Host::load::<Counter>();
        host.keep_history("counter/*", 1);
        let other = host.another_process::<Counter>(&[]).unwrap();
        let mut alice = host.connect(player("/red", "name=alice")).unwrap();
        let bob = other.connect(player("/red", "name=bob")).unwrap();
        alice.send(r#"{"clicks": 2}"#);
        let heard = format!("{:?}", bob.received()).replace('\\', "");
        assert!(heard.contains(r#"-2","data":"alice""#), "{heard}");
        host.advance(Duration::from_secs(2));
        let told = format!("{:?}", alice.received()).replace('\\', "");
        assert!(told.contains(r#"{"players":["alice","bob"]}"#), "{told}");
    }

    #[test]
    fn players_have_names_and_rooms_no_stars() {
        let host = Host::configure::<Counter>(&[("interval", "1")]).unwrap();
        let refusal = host.refusal(player("/red", "name=")).unwrap();
        let challenge = refusal.header("WWW-Authenticate");
        assert_eq!(challenge, Some("Name realm=\"counter\""));
        assert_eq!(host.connect(player("/*", "name=eve")).err(), Some(404));
    }
}
