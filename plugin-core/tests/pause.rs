//! Plugins that pause their client.

use std::sync::Mutex;
use std::thread;
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
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
                to.send(&format!("{}", to.pause()))?;
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
