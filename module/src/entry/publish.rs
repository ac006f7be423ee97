//! Publishing to topics with HTTP requests: `SetHandler websocket-publish`.

mod message;
mod query;
mod reply;

use websocket_plugin::abi::host::Filter;

use super::config::Config;
use super::topics::space_of;
use crate::httpd::answer::Answer;
use crate::httpd::body::BodyError;
use crate::httpd::log::Level;
use crate::httpd::request::Request;
use crate::protocol::{OriginPolicy, Site};
use crate::topics::{self, Claim, OnceKey, Publisher, SpaceId};
use message::Message;
use reply::Fault;

/// The value of `SetHandler` that selects this handler.
pub(super) const HANDLER: &str = "websocket-publish";

/// The longest `Idempotency-Key`, in bytes.
const LONGEST_KEY: usize = 255;

/// Answers a request that publishes a message (`POST`) or asks who is on a topic (`GET`).
pub(super) fn handle(request: Request, config: &Config) -> Answer {
    // This handler makes no part of a page that httpd builds from several requests, and no error
    // page.
    if request.check_chain().is_err() {
        return Answer::Declined;
    }
    let answer = match request.method() {
        b"GET" | b"HEAD" => show(request, config),
        b"POST" => publish(request, config),
        _ => Err(Fault::Method),
    };
    match answer {
        Ok(text) => reply::send(request, &text),
        Err(Fault::Answered) => Answer::Done,
        Err(fault) => reply::refuse(request, &fault),
    }
}

/// Returns the topic that the query names and its space, if requests may publish to it here.
fn topic(request: Request, config: &Config) -> Result<(SpaceId, String), Fault> {
    let topic = query::topic(request.query()).ok_or(Fault::Topic)?;
    let is_named = |pattern: &str| match Filter::parse(pattern) {
        Ok(filter) => filter.matches(&topic),
        Err(_) => false,
    };
    if !config.topics().publish().iter().any(|it| is_named(it)) {
        let text = format!("no WebSocketPublish here describes the topic '{topic}'");
        request.log(Level::Info, &text);
        return Err(Fault::TopicNotAllowed);
    }
    Ok((space_of(&request, config), topic))
}

fn show(request: Request, config: &Config) -> Result<String, Fault> {
    let (space, topic) = topic(request, config)?;
    let count = topics::count(space, &topic)?;
    let mut members = Vec::new();
    topics::visit_members(space, &topic, |member| members.push(member))?;
    Ok(reply::presence(&topic, count, &members))
}

fn publish(request: Request, config: &Config) -> Result<String, Fault> {
    check_origin(request, config)?;
    let (space, topic) = topic(request, config)?;
    let key = idempotency_key(&request)?.map(<[u8]>::to_vec);
    let has_body = request.header(c"Content-Length").is_some()
        || request.header(c"Transfer-Encoding").is_some()
        || request.http2_connection().is_some();
    if !has_body {
        return Err(Fault::Length);
    }
    let kind = message::kind(&request)?;
    let body = request
        .read_body(topics::longest_message()?)
        .map_err(|error| match error {
            BodyError::TooLong => Fault::TooLong,
            BodyError::NoMemory => Fault::Unavailable,
            BodyError::Broken => Fault::Body,
            BodyError::Answered => Fault::Answered,
        })?;
    let message = Message::new(kind, body)?;
    match key {
        None => publish_now(space, &topic, &message),
        Some(key) => {
            let user = request.user().unwrap_or_default();
            let content = [message.kind_name().as_bytes(), message.payload()];
            let key = OnceKey::new((space, &topic), user.as_bytes(), &key, &content);
            publish_once(&key, || publish_now(space, &topic, &message))
        }
    }
}

fn publish_now(space: SpaceId, topic: &str, message: &Message) -> Result<String, Fault> {
    // Counted before, because a subscriber may leave when it gets the message.
    let count = topics::count(space, topic)?;
    let message = (message.kind(), message.payload());
    let published = topics::publish(space, topic, message, Publisher::thread())?;
    Ok(reply::published(topic, published, count))
}

fn publish_once(
    key: &OnceKey,
    publish: impl FnOnce() -> Result<String, Fault>,
) -> Result<String, Fault> {
    match topics::claim(key)? {
        Claim::New => {}
        Claim::Settled(answer) => return String::from_utf8(answer).map_err(|_| Fault::Unavailable),
        Claim::Pending => return Err(Fault::Pending),
        Claim::OtherMessage => return Err(Fault::KeyUsed),
    }
    let answer = publish();
    match &answer {
        Ok(text) => topics::settle(key, text.as_bytes()),
        Err(_) => topics::give_up(key),
    }
    answer
}

/// The key that shows whether the same message was sent before.
fn idempotency_key(request: &Request) -> Result<Option<&[u8]>, Fault> {
    match request.header(c"Idempotency-Key") {
        Some(key) if key.is_empty() || key.len() > LONGEST_KEY => Err(Fault::Key),
        key => Ok(key),
    }
}

/// Refuses pages of other sites, so that they cannot publish with their visitors' rights. A browser
/// sends the origin of the page with a `POST` request.
fn check_origin(request: Request, config: &Config) -> Result<(), Fault> {
    let policy = match config.origin_policy() {
        OriginPolicy::Off => OriginPolicy::Same,
        policy => policy,
    };
    let site = Site {
        scheme: request.scheme(),
        host: request.hostname(),
        port: request.port(),
    };
    let trusted = config.trusted_origins();
    let trusted: Vec<_> = trusted.iter().map(|origin| origin.as_bytes()).collect();
    if policy.allows(request.header(c"Origin"), &site, &trusted) {
        return Ok(());
    }
    let text = format!(
        "a page of another site may not publish: expected is '{site}', or what \
         'WebSocketOriginCheck Trusted' and WebSocketTrustedOrigin allow"
    );
    request.log(Level::Info, &text);
    Err(Fault::Origin)
}
