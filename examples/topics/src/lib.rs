//! Clients subscribe to topics, publish to them and resume where they were, by messages in JSON.
//!
//! `docs/src/topics-protocol.md` describes the messages. `examples/html/topics.js` is a client for
//! browsers.
//!
//! The option `subscribe` says to which topics clients may subscribe, and `publish` to which they
//! may publish. Each is a list of patterns with spaces between them. By default clients may do
//! neither. The segment `{user}` of a pattern stands for the user that httpd has authenticated.
//!
//! ```apache
//! WebSocketTopicHistory "chat/*" 100 1h
//! <Location "/topics">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_topics.so topics_init
//!     WebSocketPluginOption subscribe "news/** chat/* inbox/{user}"
//!     WebSocketPluginOption publish "chat/*"
//! </Location>
//! ```
#![forbid(unsafe_code)]

mod allowed;
mod reply;
mod request;

use allowed::{Allowed, User};
use reply::{Code, Failure, Listed, Reply};
use request::{Action, Request};
use websocket_plugin::{
    Close, CloseCode, Handshake, Message, OptionError, Options, Plugin, Published, Rejection,
    SendError, SendJsonError, Sender, Subscription, Topics, websocket_plugin,
};

/// The longest list of members. All of them are counted.
const MOST_MEMBERS: usize = 1000;

/// The plugin.
pub struct TopicServer {
    subscribe: Allowed,
    publish: Allowed,
}

/// A client's connection.
pub struct Client {
    topics: Topics,
    user: User,
}

#[websocket_plugin(symbol = "topics_init")]
impl Plugin for TopicServer {
    type Connection = Client;

    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["subscribe", "publish"])?;
        let allowed = |name| Allowed::parse(name, options.get(name).unwrap_or_default());
        Ok(Self {
            subscribe: allowed("subscribe")?,
            publish: allowed("publish")?,
        })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Client, Rejection> {
        Ok(Client {
            topics: handshake.topics()?,
            user: User::new(handshake.user()),
        })
    }

    fn on_message(&self, client: &mut Client, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let request = m.as_text().ok_or_else(Failure::binary);
        let sent = match request.and_then(Request::parse) {
            Ok(request) => match self.serve(client, to, &request) {
                Ok(reply) => to.try_send_json(&reply),
                Err(failure) => to.try_send_json(&failure.answer(Some(request.id))),
            },
            Err(failure) => to.try_send_json(&failure.answer(m.as_text().and_then(request::id_of))),
        };
        match sent {
            Err(SendJsonError::Send(SendError::Full)) => Err(Close::new(
                CloseCode::TRY_AGAIN_LATER,
                "you do not read the answers",
            )),
            sent => Ok(sent?),
        }
    }
}

impl TopicServer {
    /// Does what a client asks for.
    fn serve<'r>(
        &self,
        client: &Client,
        to: &Sender,
        request: &'r Request<'_>,
    ) -> Result<Reply<'r>, Failure> {
        let id = request.id;
        let topic = &*request.topic;
        match &request.action {
            Action::Subscribe { since } => {
                self.subscribe.check(topic, &client.user)?;
                let mut wanted = Subscription::to(topic).in_envelope();
                if let Some(position) = since {
                    wanted = wanted.since(*position);
                }
                Ok(Reply::subscribed(id, topic, to.subscribe(wanted)?))
            }
            Action::Unsubscribe => {
                to.unsubscribe(topic)?;
                Ok(Reply::Unsubscribed { id, topic })
            }
            Action::PublishText(text) => {
                self.publish.check(topic, &client.user)?;
                let published = client.topics.publish(topic, &**text)?;
                Ok(Reply::published(id, topic, published))
            }
            Action::PublishJson(json) => {
                self.publish.check(topic, &client.user)?;
                let published: Published = client.topics.publish_json(topic, *json)?;
                Ok(Reply::published(id, topic, published))
            }
            Action::Presence { has_list } => {
                self.subscribe.check(topic, &client.user)?;
                let count = client.topics.count(topic)?;
                let members = has_list
                    .then(|| client.topics.presence(topic))
                    .transpose()?;
                let listed = |all: Vec<_>| all.into_iter().take(MOST_MEMBERS).map(Listed::from);
                Ok(Reply::Members {
                    id,
                    topic,
                    count,
                    members: members.map(|all| listed(all).collect()),
                })
            }
        }
    }
}

impl Allowed {
    /// Whether the user may have all topics that a client has named.
    fn check(&self, topic: &str, user: &User) -> Result<(), Failure> {
        if self.covers(topic, user)? {
            return Ok(());
        }
        log::debug!("{user} may not do this with {topic:?}");
        Err(Failure::new(Code::Forbidden, "this topic is not allowed"))
    }
}

#[cfg(test)]
mod tests;
