//! Publishes to topics, and lets the module find who takes them.

use std::sync::atomic::{AtomicUsize, Ordering};

use websocket_plugin::{
    Close, Handshake, Message, Plugin, Rejection, Sender, TopicError, websocket_plugin,
};

/// How many topics there are where there are many.
const TOPICS: usize = 1000;

/// Connections whose numbers differ by a multiple of this take the same topics.
const GROUPS: usize = 100;

/// How many topics each connection takes where it asks for them.
const EACH: usize = 100;

/// So many digits at the beginning of a message are its number.
const DIGITS: usize = 12;

/// Everybody takes the same topic.
#[derive(Default)]
struct FanoutTopics;

#[websocket_plugin]
impl Plugin for FanoutTopics {
    type Connection = ();

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        handshake.subscribe("all")?;
        Ok(())
    }

    fn on_message(&self, (): &mut (), from: &Sender, message: Message<'_>) -> Result<(), Close> {
        from.publish("all", message)?;
        Ok(())
    }
}

/// Each message goes to the topic that its number says. Each connection takes some topics, by the
/// order in which connections are opened.
#[derive(Default)]
struct FanoutMany {
    opened: AtomicUsize,
}

#[websocket_plugin]
impl Plugin for FanoutMany {
    type Connection = ();

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        let group = self.opened.fetch_add(1, Ordering::Relaxed) % GROUPS;
        for topic in (group..TOPICS).step_by(GROUPS) {
            handshake.subscribe(&*name(topic))?;
        }
        Ok(())
    }

    fn on_message(&self, (): &mut (), from: &Sender, message: Message<'_>) -> Result<(), Close> {
        let text = message.as_text().unwrap_or_default();
        let number: Option<usize> = text.get(..DIGITS).and_then(|digits| digits.parse().ok());
        from.publish(&name(number.unwrap_or(0) % TOPICS), message)?;
        Ok(())
    }
}

/// A message has its connection take some topics, which the answer counts.
#[derive(Default)]
struct FanoutSubscribe {
    asked: AtomicUsize,
}

#[websocket_plugin]
impl Plugin for FanoutSubscribe {
    type Connection = ();

    fn on_message(&self, (): &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
        let first = EACH * self.asked.fetch_add(1, Ordering::Relaxed);
        subscribe(to, first)?;
        to.send(EACH.to_string())?;
        Ok(())
    }
}

fn subscribe(to: &Sender, first: usize) -> Result<(), TopicError> {
    for topic in first..first + EACH {
        to.subscribe(&*name(topic % TOPICS))?;
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("many/{number}")
}
