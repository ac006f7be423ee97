//! A room: its topics.

use crate::Event;
use websocket_plugin::{Handshake, HistoryMessage, Position, Subscription, TopicError, Topics};

/// The longest name of a room, in bytes. The names of topics are a little longer.
const MAX_ROOM: usize = 200;

pub(crate) struct Room {
    topics: Topics,
    /// The topic of what is said, which may have a history.
    said: String,
    /// The topic of who comes and goes.
    members: String,
}

impl Room {
    /// The room at a path, unless its name cannot be in that of a topic. A star would subscribe to
    /// all rooms.
    pub(crate) fn new(path: &str, topics: Topics) -> Option<Self> {
        let segments: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        let name = match &segments[..] {
            [] => "lobby".to_owned(),
            segments => segments.join("/"),
        };
        let is_plain = |c: char| c != '*' && !c.is_control();
        (name.len() <= MAX_ROOM && name.chars().all(is_plain)).then(|| Self {
            topics,
            said: format!("chat/{name}"),
            members: format!("chat-members/{name}"),
        })
    }

    /// Subscribes a client to the room. It gets the last messages of those that httpd keeps, then
    /// what is new, without a gap.
    pub(crate) fn enter(&self, handshake: &Handshake<'_>, last: usize) -> Result<(), TopicError> {
        let mut kept = Vec::new();
        let note = |old: HistoryMessage<'_>| kept.push(old.position);
        self.topics.history(&self.said, None, usize::MAX, note)?;
        let mut said = Subscription::to(&self.said);
        if let Some(first) = kept.get(kept.len().saturating_sub(last)) {
            let offset = first.offset - 1;
            said = said.since(Position { offset, ..*first });
        }
        // If httpd has forgotten the first of them meanwhile, the client gets only what is new.
        handshake.subscribe(said)?;
        handshake.subscribe(&self.members)?;
        Ok(())
    }

    /// Sends an event to all members. It waits for none of them: httpd closes the connection of one
    /// who does not keep up.
    pub(crate) fn tell(&self, event: &Event) -> Result<(), TopicError> {
        let topic = match event {
            Event::Said { .. } => &self.said,
            _ => &self.members,
        };
        self.topics.publish_json(topic, event)?;
        Ok(())
    }
}
