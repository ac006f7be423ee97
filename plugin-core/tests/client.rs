//! The client of the testing module waits for what a plugin sends, and not for ever.
#![forbid(unsafe_code)]

use std::thread;
use std::time::{Duration, Instant};
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{Close, CloseCode, Message, Plugin, Sender, websocket_plugin};

/// Sends from a thread of its own: each word of a message, and `bye` closes the connection.
#[derive(Default)]
struct Parrot;

#[websocket_plugin]
impl Plugin for Parrot {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        let sender = sender.clone();
        let Message::Text(text) = message else {
            return Err("no text".into());
        };
        let text = text.to_owned();
        thread::spawn(move || {
            for word in text.split_whitespace() {
                if word == "bye" {
                    let _ = sender.close(Close::new(CloseCode::NORMAL, "bye"));
                } else {
                    let _ = sender.send(word);
                }
            }
        });
        Ok(())
    }
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

/// Much longer than a thread needs to send something.
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn events_end_after_the_close_frame() {
    let host = Host::load::<Parrot>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("one two bye");
    let begun = Instant::now();
    let events: Vec<_> = client.events(LONG).collect();
    let close = Received::Close(CloseCode::NORMAL, "bye".into());
    assert_eq!(events, [text("one"), text("two"), close]);
    assert!(begun.elapsed() < LONG, "it waited for more");
}

#[test]
fn events_end_when_the_plugin_sends_nothing() {
    let host = Host::load::<Parrot>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("one");
    assert_eq!(client.receive_within(LONG), Some(text("one")));
    assert_eq!(client.receive_within(SHORT), None);
    assert_eq!(client.events(SHORT).next(), None);
    client.send("two");
    assert_eq!(client.events(LONG).next(), Some(text("two")));
}
