//! Events that are posted to connections.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use websocket_plugin::testing::{Client, Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Disconnect, Handshake, Message, Plugin, PostError, Rejection, Sender,
    websocket_plugin,
};

/// What the messages ask for happens in events. Each says how many there have been.
#[derive(Default)]
struct Clerk {
    others: Mutex<Vec<Sender>>,
}

enum Event {
    Say(String),
    Fail,
    Panic,
    Again(u32),
    Guard(Arc<Guard>),
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, SeqCst);
    }
}

#[websocket_plugin]
impl Plugin for Clerk {
    type Connection = u32;
    type Event = Event;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<u32, Rejection> {
        let sender = handshake.sender();
        if let Some(text) = handshake.header("Say") {
            sender.post::<Self>(Event::Say(text.into()))?;
        }
        if handshake.header("Refuse").is_some() {
            sender.post::<Self>(Event::Guard(Arc::new(Guard)))?;
            return Err(Rejection::FORBIDDEN);
        }
        self.others.lock().unwrap().push(sender);
        Ok(0)
    }

    fn on_message(&self, _: &mut u32, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let text = m.as_text().unwrap_or_default();
        match text.split_once(' ') {
            Some(("say", text)) => to.post::<Self>(Event::Say(text.into()))?,
            Some(("after", seconds)) => {
                let delay = Duration::from_secs(seconds.parse()?);
                to.after::<Self>(delay, Event::Say(format!("after {seconds}")))?;
            }
            Some(("all", text)) => {
                for other in &*self.others.lock().unwrap() {
                    other.post::<Self>(Event::Say(text.into()))?;
                }
            }
            Some(("thread", text)) => {
                let (to, text) = (to.clone(), text.to_owned());
                thread::spawn(move || to.post::<Self>(Event::Say(text)).unwrap());
            }
            Some(("again", times)) => to.post::<Self>(Event::Again(times.parse()?))?,
            Some(("guards", count)) => {
                for number in 0..count.parse()? {
                    let guard = Event::Guard(Arc::new(Guard));
                    to.after::<Self>(Duration::from_secs(number), guard)?;
                }
            }
            _ if text == "fill" => {
                let mut count = 0;
                let error = loop {
                    match to.post::<Self>(Event::Say(String::new())) {
                        Ok(()) => count += 1,
                        Err(error) => break error,
                    }
                };
                to.send(format!("{count}: {error}"))?;
            }
            _ if text == "other" => {
                let error = to.post::<Other>(7).unwrap_err();
                to.send(error.to_string())?;
            }
            _ if text == "fail" => to.post::<Self>(Event::Fail)?,
            _ => to.post::<Self>(Event::Panic)?,
        }
        Ok(())
    }

    fn on_event(&self, count: &mut u32, to: &Sender, event: Event) -> Result<(), Close> {
        *count += 1;
        match event {
            Event::Say(text) if text.is_empty() => {}
            Event::Say(text) => to.send(format!("{count}: {text}"))?,
            Event::Fail => return Err("it failed".into()),
            Event::Panic => panic!("at an event"),
            Event::Again(0) => to.send("done")?,
            Event::Again(left) => to.post::<Self>(Event::Again(left - 1))?,
            Event::Guard(guard) => drop(guard),
        }
        Ok(())
    }

    fn on_disconnect(&self, _: u32, _: Disconnect) {
        let sender = self.others.lock().unwrap().pop().unwrap();
        assert!(matches!(
            sender.post::<Self>(Event::Fail),
            Ok(()) | Err(PostError::Closed)
        ));
    }
}

/// Another plugin of the library.
#[derive(Default)]
struct Other;

#[websocket_plugin]
impl Plugin for Other {
    type Event = u8;

    fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
        let error = to.post::<Self>(1).unwrap_err();
        Ok(to.send(error.to_string())?)
    }

    fn on_event(&self, _: &mut (), to: &Sender, event: u8) -> Result<(), Close> {
        Ok(to.send(event.to_string())?)
    }
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

fn ask(client: &mut Client<'_>, message: &str) -> Vec<Received> {
    client.send(message);
    client.received()
}

#[test]
fn events_come_in_order_with_the_state_of_the_connection() {
    let host = Host::load::<Clerk>();
    let mut client = host.connect(Request::new().header("Say", "early")).unwrap();
    assert_eq!(client.received(), [text("1: early")]);
    assert_eq!(ask(&mut client, "say a"), [text("2: a")]);
    let mut other = host.connect(Request::new()).unwrap();
    assert_eq!(ask(&mut other, "all b"), [text("1: b")]);
    assert_eq!(client.received(), [text("3: b")]);
    client.send("thread c");
    assert_eq!(client.receive(), text("4: c"));
    assert_eq!(ask(&mut client, "again 100"), [text("done")]);
}

#[test]
fn timers_follow_the_clock_of_the_host() {
    let host = Host::load::<Clerk>();
    let mut client = host.connect(Request::new()).unwrap();
    for seconds in [20, 10, 10] {
        assert!(ask(&mut client, &format!("after {seconds}")).is_empty());
    }
    host.advance(Duration::from_millis(9_999));
    assert!(client.received().is_empty());
    host.advance(Duration::from_millis(1));
    assert_eq!(client.received(), ["1: after 10", "2: after 10"].map(text));
    host.advance(Duration::from_secs(3600));
    assert_eq!(client.receive(), text("3: after 20"));
}

#[test]
fn errors_and_panics_close_as_in_on_message() {
    let host = Host::load::<Clerk>();
    for message in ["fail", "panic"] {
        let mut client = host.connect(Request::new()).unwrap();
        let close = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
        assert_eq!(ask(&mut client, message), [close]);
    }
    let log = host.log();
    assert_eq!(log[0].text, "[Clerk] on_event: it failed");
    assert!(log[1].text.starts_with("[Clerk] on_event panicked at "));
}

#[test]
fn a_connection_has_1024_events_at_most() {
    let host = Host::load::<Clerk>();
    let mut client = host.connect(Request::new()).unwrap();
    let full = "1024: too many events wait for the connection";
    assert_eq!(ask(&mut client, "fill"), [text(full)]);
    assert_eq!(ask(&mut client, "say a"), [text("1025: a")]);
}

#[test]
fn events_that_nobody_handles_are_dropped_with_the_connection() {
    let host = Host::load::<Clerk>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("guards 4");
    host.advance(Duration::from_secs(1));
    assert!(client.received().is_empty());
    client.disconnect();
    assert_eq!(DROPPED.load(SeqCst), 4);
    let refused = host.connect(Request::new().header("Refuse", "yes"));
    assert_eq!(refused.err(), Some(403));
    assert_eq!(DROPPED.load(SeqCst), 5);
}

#[test]
fn events_need_a_connection_of_their_plugin_and_a_host_that_has_them() {
    let host = Host::load::<Clerk>();
    let mut client = host.connect(Request::new()).unwrap();
    let other = "the connection belongs to another plugin";
    assert_eq!(ask(&mut client, "other"), [text(other)]);
    let host = Host::c_module::<Other>().unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    let unsupported = "this version of mod_websocket has no events";
    assert_eq!(ask(&mut client, ""), [text(unsupported)]);
}
