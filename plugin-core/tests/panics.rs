//! Panics and errors end only the connection in which they happen, and are logged.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use websocket_plugin::testing::{Client, Host, Received, Request, unattached_log};
use websocket_plugin::{
    Close, CloseCode, Disconnect, Handshake, Message, Options, Plugin, Rejection, Sender,
    websocket_plugin,
};

#[derive(Default)]
struct Fragile;

struct Connection {
    panics_on_drop: bool,
}

#[websocket_plugin]
impl Plugin for Fragile {
    type Connection = Connection;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Connection, Rejection> {
        match handshake.query() {
            Some("panic") => panic!("no {}", "thanks"),
            Some("error") => Err(io::Error::other("no database"))?,
            query => Ok(Connection {
                panics_on_drop: query == Some("drop"),
            }),
        }
    }

    fn on_message(&self, _: &mut Connection, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        match m.as_text() {
            Some("panic") => panic!("on purpose"),
            Some("payload") => std::panic::panic_any(Explosive),
            Some("error") => Err(Outer(io::Error::other("disk full")))?,
            Some("close") => Err(Close::new(CloseCode::POLICY_VIOLATION, "go away")),
            _ => Ok(to.send(m)?),
        }
    }

    fn on_disconnect(&self, connection: Connection, _: Disconnect) {
        assert!(
            !connection.panics_on_drop || std::thread::panicking(),
            "in the end"
        );
    }
}

struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("the payload explodes");
    }
}

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot save")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Asserts that the host's log has exactly one line, which contains all of these texts.
#[track_caller]
fn assert_logged(host: &Host, texts: &[&str]) {
    let log = host.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].level, log::Level::Error);
    for text in texts {
        assert!(log[0].text.contains(text), "{log:?}");
    }
}

fn connect(host: &Host) -> Client<'_> {
    host.connect(Request::new()).unwrap()
}

#[test]
fn a_panic_in_on_message_closes_only_its_connection() {
    let host = Host::load::<Fragile>();
    let (mut victim, mut other) = (connect(&host), connect(&host));
    victim.send("panic");
    victim.send("nobody hears this");
    let close = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
    assert_eq!(victim.received(), [close]);
    other.send("still here");
    assert_eq!(other.received(), [Received::Text("still here".into())]);
    assert_logged(
        &host,
        &[
            "[Fragile] on_message panicked at ",
            "panics.rs:",
            ": on purpose",
        ],
    );
}

#[test]
fn a_panic_payload_may_panic_when_dropped() {
    let host = Host::load::<Fragile>();
    let mut client = connect(&host);
    client.send("payload");
    assert_eq!(client.received().len(), 1);
    assert_logged(&host, &["on_message panicked"]);
}

#[test]
fn a_panic_in_on_connect_refuses_with_500() {
    let host = Host::load::<Fragile>();
    assert_eq!(host.connect(Request::new().query("panic")).err(), Some(500));
    assert_logged(&host, &["[Fragile] on_connect panicked at ", ": no thanks"]);
    connect(&host);
}

#[test]
fn a_panic_in_on_disconnect_is_logged() {
    let host = Host::load::<Fragile>();
    host.connect(Request::new().query("drop"))
        .unwrap()
        .disconnect();
    assert_logged(
        &host,
        &["[Fragile] on_disconnect panicked at ", ": in the end"],
    );
}

#[test]
fn errors_are_logged_with_their_sources() {
    let host = Host::load::<Fragile>();
    let mut client = connect(&host);
    client.send("error");
    let close = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
    assert_eq!(client.received(), [close], "the client is not told");
    assert_logged(&host, &["[Fragile] on_message: cannot save: disk full"]);

    let host = Host::load::<Fragile>();
    assert_eq!(host.connect(Request::new().query("error")).err(), Some(500));
    assert_logged(&host, &["[Fragile] on_connect: no database"]);
}

#[test]
fn a_close_is_not_logged() {
    let host = Host::load::<Fragile>();
    let mut client = connect(&host);
    client.send("close");
    client.send("nobody hears this");
    let close = Received::Close(CloseCode::POLICY_VIOLATION, "go away".into());
    assert_eq!(client.received(), [close]);
    assert_eq!(host.log(), []);
}

#[derive(Debug)]
struct Unconfigurable;

#[websocket_plugin]
impl Plugin for Unconfigurable {
    fn configure(_: &Options) -> Result<Self, String> {
        panic!("cannot be made")
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn after_a_panic_in_init_there_is_no_plugin() {
    assert!(Host::c_module::<Unconfigurable>().is_none());
    assert!(Host::configure::<Unconfigurable>(&[]).is_err());
}

struct Picky;

#[websocket_plugin]
impl Plugin for Picky {
    fn configure(options: &Options) -> Result<Self, String> {
        match options.get("mood") {
            Some("bad") => panic!("in a bad mood"),
            Some(_) => Ok(Self),
            None => Err("a mood is needed".to_owned()),
        }
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn a_panic_in_configure_is_a_configuration_error() {
    let error = Host::configure::<Picky>(&[("mood", "bad")]).err().unwrap();
    assert!(error.starts_with("configure panicked at "), "{error}");
    assert!(error.ends_with(": in a bad mood"), "{error}");
    assert!(Host::configure::<Picky>(&[("mood", "good")]).is_ok());
}

#[test]
fn a_plugin_that_needs_options_refuses_all_clients_in_the_c_module() {
    let host = Host::c_module::<Picky>().unwrap();
    assert_eq!(host.connect(Request::new()).err(), Some(403));
}

#[derive(Default)]
struct Clingy;

impl Drop for Clingy {
    fn drop(&mut self) {
        panic!("will not go");
    }
}

#[websocket_plugin]
impl Plugin for Clingy {
    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn a_panic_in_the_destructor_of_the_plugin_is_logged() {
    drop(Host::load::<Clingy>());
    let is_it =
        |text: &str| text.starts_with("[Clingy] drop panicked") && text.ends_with("will not go");
    assert!(unattached_log().iter().any(|line| is_it(&line.text)));
}
