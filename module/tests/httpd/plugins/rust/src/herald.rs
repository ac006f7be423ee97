//! Does with topics what it is told.

use std::process;
use std::thread;
use websocket_plugin::{
    Close, Handshake, Message, Plugin, Recovery, Rejection, Sender, Subscribed, Subscription,
    TopicError, Topics, websocket_plugin,
};

/// Commands are `NAME TOPIC REST`. Each is answered with a text that begins with `= `. A client
/// that names a topic in its query is subscribed to it from the beginning.
#[derive(Default)]
struct Herald;

#[websocket_plugin]
impl Plugin for Herald {
    type Connection = Topics;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Topics, Rejection> {
        if let Some(topic) = handshake.query() {
            handshake.subscribe(topic)?;
        }
        Ok(handshake.topics()?)
    }

    fn on_message(&self, topics: &mut Topics, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let text = m.as_text().unwrap_or_default();
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (command, topic, rest) = (word(), word(), word());
        let answer = match command {
            // No answer: many are sent.
            "say" => {
                to.publish(topic, rest)?;
                return Ok(());
            }
            _ => run(topics, to, (command, topic, rest)),
        };
        let answer = answer.unwrap_or_else(|error| error.to_string());
        Ok(to.send(format!("= {answer}"))?)
    }
}

fn run(
    topics: &Topics,
    to: &Sender,
    (command, topic, rest): (&str, &str, &str),
) -> Result<String, TopicError> {
    let subscribe = |subscription: Subscription<'_>| to.subscribe(subscription).map(describe);
    match command {
        "pid" => Ok(process::id().to_string()),
        "sub" => subscribe(topic.into()),
        "envelope" => subscribe(Subscription::to(topic).in_envelope()),
        "since" => subscribe(Subscription::to(topic).since(rest.parse()?)),
        "info" => subscribe(Subscription::to(topic).in_envelope().with_info(rest)),
        "unsub" => to.unsubscribe(topic).map(|()| "left".into()),
        "pub" => Ok(position(to.publish(topic, rest)?.position)),
        "bin" => Ok(position(to.publish(topic, rest.as_bytes())?.position)),
        "json" => Ok(position(to.publish_json(topic, &[rest])?.position)),
        "large" => {
            let text = "x".repeat(rest.parse().unwrap_or(0));
            Ok(position(to.publish(topic, &text)?.position))
        }
        "host" => {
            let (topic, text) = (topic.to_owned(), rest.to_owned());
            let published = thread::spawn(move || Topics::host()?.publish(&topic, &text)).join();
            Ok(position(published.expect("no panic")?.position))
        }
        "count" => Ok(topics.count(topic)?.to_string()),
        "who" => {
            let members = topics.presence(topic)?.into_iter();
            let members = members.map(|m| format!("{:?}:{:?}", m.user, m.info));
            Ok(members.collect::<Vec<_>>().join(" "))
        }
        "history" => {
            let mut found = Vec::new();
            let since = rest.parse().ok();
            topics.history(topic, since, 1000, |kept| {
                found.push(String::from_utf8_lossy(kept.message.as_bytes()).into_owned());
            })?;
            Ok(found.join(" "))
        }
        _ => Ok("?".into()),
    }
}

fn describe(subscribed: Subscribed) -> String {
    let recovery = match subscribed.recovery {
        Recovery::None => "none".into(),
        Recovery::Complete(count) => format!("complete {count}"),
        Recovery::Gap => "gap".into(),
    };
    format!("{recovery} {}", position(subscribed.position))
}

fn position(position: Option<websocket_plugin::Position>) -> String {
    position.map_or_else(|| "-".into(), |position| position.to_string())
}
