//! Plugins that pause their client, and that hear of room in a full queue.

use std::sync::Mutex;
use std::thread;
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Handshake, Message, Plugin, Rejection, SendError, Sender, websocket_plugin,
};

/// Pauses at each `pause`, and echoes the rest. `resume` and `close` concern the
/// connection that was paused last.
#[derive(Default)]
struct Valve(Mutex<Option<Sender>>);

impl Valve {
    fn paused(&self) -> Sender {
        self.0.lock().unwrap().take().unwrap()
    }
}

#[websocket_plugin]
impl Plugin for Valve {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        if handshake.header("Early").is_some() {
            assert_eq!(handshake.sender().pause(), !is_c_module(handshake));
        }
        Ok(())
    }

    fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
        match message.as_text() {
            Some("pause") => {
                to.send(format!("{}", to.pause()))?;
                *self.0.lock().unwrap() = Some(to.clone());
            }
            Some("resume") => self.paused().resume(),
            Some("close") => {
                let paused = self.paused();
                paused.close(CloseCode::NORMAL)?;
                assert!(!paused.pause(), "it is closing");
            }
            _ => to.send(message)?,
        }
        Ok(())
    }
}

fn is_c_module(handshake: &Handshake<'_>) -> bool {
    handshake.method().is_none()
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

#[test]
fn messages_wait_until_the_plugin_resumes() {
    let host = Host::load::<Valve>();
    let mut client = host.connect(Request::new()).unwrap();
    let mut other = host.connect(Request::new()).unwrap();
    client.send("pause");
    assert!(client.is_paused());
    client.send("a");
    client.send("b");
    assert_eq!(client.received(), [text("true")]);
    other.send("resume");
    assert_eq!(client.received(), [text("a"), text("b")]);
    client.send("c");
    assert_eq!(client.receive(), text("c"));
}

#[test]
fn receive_waits_for_a_thread_that_resumes() {
    let host = Host::load::<Valve>();
    let request = Request::new().header("Early", "yes");
    let mut client = host.connect(request).unwrap();
    let mut other = host.connect(Request::new()).unwrap();
    client.send("pause");
    assert!(client.received().is_empty());
    assert!(client.is_paused());
    drop(client);
    let mut client = host.connect(Request::new()).unwrap();
    client.send("pause");
    client.send("a");
    assert_eq!(client.receive(), text("true"));
    thread::scope(|scope| {
        scope.spawn(move || other.send("resume"));
        assert_eq!(client.receive(), text("a"));
    });
}

#[test]
fn messages_behind_a_close_in_a_pause_are_dropped() {
    let host = Host::load::<Valve>();
    let mut client = host.connect(Request::new()).unwrap();
    let mut other = host.connect(Request::new()).unwrap();
    client.send("pause");
    client.send("a");
    other.send("close");
    let close = Received::Close(CloseCode::NORMAL, String::new());
    assert_eq!(client.received(), [text("true"), close]);
    client.send("b");
    assert!(client.received().is_empty());
}

#[test]
fn the_c_module_cannot_pause() {
    let host = Host::c_module::<Valve>().unwrap();
    let request = Request::new().header("Early", "yes");
    let mut client = host.connect(request).unwrap();
    client.send("pause");
    client.send("a");
    assert_eq!(client.received(), [text("false"), text("a")]);
}

/// Sends `number` messages at a time, as long as there is room, and the rest later.
#[derive(Default)]
struct Source;

#[websocket_plugin]
impl Plugin for Source {
    type Connection = u32;

    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<u32, Rejection> {
        Ok(0)
    }

    fn on_message(&self, left: &mut u32, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        *left = m.as_text().unwrap_or_default().parse()?;
        self.on_drain(left, to)
    }

    fn on_drain(&self, left: &mut u32, to: &Sender) -> Result<(), Close> {
        while *left > 0 {
            match to.try_send(left.to_string()) {
                Err(SendError::Full) => return Ok(()),
                sent => sent?,
            }
            *left -= 1;
        }
        Ok(())
    }
}

#[test]
fn on_drain_follows_a_refusal_when_the_client_reads_again() {
    let host = Host::load::<Source>();
    let mut client = host.connect(Request::new()).unwrap();
    client.resume_reading();
    client.stop_reading();
    client.send("3");
    assert!(client.received().is_empty());
    client.resume_reading();
    assert_eq!(client.received(), ["3", "2", "1"].map(text));
    client.stop_reading();
    client.resume_reading();
    assert!(client.received().is_empty(), "nothing was refused since");
}

/// Panics in `on_drain`.
#[derive(Default)]
struct Fragile;

#[websocket_plugin]
impl Plugin for Fragile {
    fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        assert_eq!(to.try_send(m), Err(SendError::Full));
        Ok(())
    }

    fn on_drain(&self, _: &mut (), _: &Sender) -> Result<(), Close> {
        panic!("full of it")
    }
}

#[test]
fn a_panic_in_on_drain_closes_with_1011() {
    let host = Host::load::<Fragile>();
    let mut client = host.connect(Request::new()).unwrap();
    client.stop_reading();
    client.send("refused");
    client.resume_reading();
    let closed = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
    assert_eq!(client.received(), [closed]);
    let line = &host.log()[0].text;
    assert!(
        line.starts_with("[Fragile] on_drain panicked at "),
        "{line}"
    );
}
