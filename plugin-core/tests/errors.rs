//! `?` in callbacks works on every kind of error that authors use, and logs all sources.

use anyhow::Context;
use std::error::Error;
use std::fmt;
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    BoxError, Close, CloseCode, Handshake, Message, Plugin, Rejection, SendError, Sender,
    websocket_plugin,
};

/// An error type of the author's, with a source.
#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// An error that displays the error it wraps, like `#[error(transparent)]` of `thiserror`.
#[derive(Debug)]
struct Transparent(SendError);

impl fmt::Display for Transparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Transparent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

fn own() -> Result<(), Outer> {
    "x".parse::<u8>().map(drop).map_err(Outer)
}

fn boxed() -> Result<(), BoxError> {
    Ok(own()?)
}

fn with_anyhow() -> anyhow::Result<()> {
    own().context("outermost")
}

#[derive(Default)]
struct Failing;

#[websocket_plugin]
impl Plugin for Failing {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        match handshake.query() {
            Some("own") => own()?,
            Some("boxed") => boxed()?,
            Some("anyhow") => with_anyhow()?,
            Some("text") => Err("no room")?,
            Some("string") => Err(format!("no room {}", 7))?,
            _ => {}
        }
        Ok(())
    }

    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        match message.as_text() {
            Some("own") => own()?,
            Some("boxed") => boxed()?,
            Some("anyhow") => with_anyhow()?,
            Some("text") => Err("no room")?,
            Some("string") => Err(format!("no room {}", 7))?,
            _ => {}
        }
        sender.close(CloseCode::NORMAL)?;
        let gone = sender.send("late").unwrap_err();
        match message.as_text() {
            Some("plain") => Err(gone)?,
            Some("boxed and gone") => Err(BoxError::from(gone))?,
            Some("anyhow and gone") => Err(anyhow::Error::new(gone))?,
            Some("context and gone") => Err(anyhow::Error::new(gone).context("greeting"))?,
            Some("transparent and gone") => Err(Transparent(gone))?,
            other => unreachable!("{other:?}"),
        }
    }
}

/// The kind of error that a callback returns, and the text in the log.
const ERRORS: [(&str, &str); 5] = [
    ("own", "outer: invalid digit found in string"),
    ("boxed", "outer: invalid digit found in string"),
    ("anyhow", "outermost: outer: invalid digit found in string"),
    ("text", "no room"),
    ("string", "no room 7"),
];

#[test]
fn on_connect_refuses_with_500_and_logs_all_sources() {
    for (kind, chain) in ERRORS {
        let host = Host::load::<Failing>();
        let refused = host.connect(Request::new().query(kind));
        assert_eq!(refused.err(), Some(500), "{kind}");
        let log: Vec<_> = host.log().into_iter().map(|line| line.text).collect();
        assert_eq!(log, [format!("[Failing] on_connect: {chain}")]);
    }
}

#[test]
fn on_message_closes_with_1011_and_logs_all_sources() {
    for (kind, chain) in ERRORS {
        let host = Host::load::<Failing>();
        let mut client = host.connect(Request::new()).unwrap();
        client.send(kind);
        let close = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
        assert_eq!(client.received(), [close], "{kind}");
        let log: Vec<_> = host.log().into_iter().map(|line| line.text).collect();
        assert_eq!(log, [format!("[Failing] on_message: {chain}")]);
    }
}

#[test]
fn a_client_that_has_left_is_not_logged_in_any_wrapper() {
    for kind in [
        "plain",
        "boxed and gone",
        "anyhow and gone",
        "context and gone",
        "transparent and gone",
    ] {
        let host = Host::load::<Failing>();
        host.connect(Request::new()).unwrap().send(kind);
        assert_eq!(host.log(), [], "{kind}");
    }
}
