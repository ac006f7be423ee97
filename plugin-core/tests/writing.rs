//! Plugins that write messages piece by piece.

use std::io::{ErrorKind, Write};

use websocket_plugin::MessageKind::{Binary, Text};
use websocket_plugin::testing::{Client, Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Handshake, Message, MessageWriter, Plugin, Rejection, SendError, Sender,
    websocket_plugin,
};

/// `text` and `binary` begin a message, `flush`, `finish` and `drop` do that, a binary message is
/// written to it, and the rest is echoed. `careless` writes what is not UTF-8, and ignores the
/// error.
#[derive(Default)]
struct Author;

#[websocket_plugin]
impl Plugin for Author {
    type Connection = Option<MessageWriter>;

    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<Option<MessageWriter>, Rejection> {
        Ok(None)
    }

    fn on_message(
        &self,
        writer: &mut Option<MessageWriter>,
        to: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        match message {
            Message::Text("text") => *writer = Some(to.begin(Text)?),
            Message::Text("binary") => *writer = Some(to.begin(Binary)?),
            Message::Text("again") => {
                let busy = to.begin(Text).map(drop);
                to.send(format!("{busy:?}"))?;
            }
            Message::Text("flush") => writer.as_mut().unwrap().flush()?,
            Message::Text("finish") => writer.take().unwrap().finish()?,
            Message::Text("drop") => *writer = None,
            Message::Text("careless") => drop(writer.as_mut().unwrap().write(b"b\xff")),
            Message::Text("finish carelessly") => drop(writer.take().unwrap().finish()),
            Message::Text(_) => to.send(message)?,
            Message::Binary(bytes) => {
                if let Err(error) = writer.as_mut().unwrap().write_all(bytes) {
                    assert_eq!(error.kind(), ErrorKind::InvalidData);
                    return Err(CloseCode::INVALID_PAYLOAD.into());
                }
            }
        }
        Ok(())
    }
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

/// Begins a message of this kind and writes these bytes, piece by piece.
fn write(client: &mut Client<'_>, kind: &str, pieces: &[&[u8]]) {
    client.send(kind);
    for piece in pieces {
        client.send(*piece);
    }
}

#[test]
fn a_message_is_what_was_written_and_others_come_behind_it() {
    let host = Host::load::<Author>();
    let mut client = host.connect(Request::new()).unwrap();
    write(&mut client, "binary", &[b"a", b"", b"\xff"]);
    client.send("behind");
    client.send("again");
    assert_eq!(client.received(), []);
    client.send("flush");
    client.send("finish");
    client.send("after");
    assert_eq!(
        client.received(),
        [
            Received::Binary(b"a\xff".into()),
            text("behind"),
            text("Err(Busy)"),
            text("after")
        ]
    );
    write(&mut client, "text", &["\u{1f4a9}b".as_bytes()]);
    client.send("finish");
    assert_eq!(client.received(), [text("\u{1f4a9}b")]);
}

#[test]
fn a_character_may_be_written_in_any_pieces() {
    let host = Host::load::<Author>();
    let mut client = host.connect(Request::new()).unwrap();
    let whole = "a\u{e9}\u{20ac}\u{1f4a9}z";
    for size in 1..5 {
        let pieces: Vec<_> = whole.as_bytes().chunks(size).collect();
        write(&mut client, "text", &pieces);
        client.send("finish");
        assert_eq!(client.received(), [text(whole)], "{size}");
    }
}

fn incomplete() -> Received {
    Received::Close(CloseCode::INTERNAL_ERROR, "incomplete message".into())
}

#[test]
fn a_message_that_is_not_finished_closes_the_connection() {
    let host = Host::load::<Author>();
    let mut client = host.connect(Request::new()).unwrap();
    write(&mut client, "text", &[b"half"]);
    client.send("drop");
    assert_eq!(client.received(), [incomplete()]);
    // The end of the connection drops the writer, too.
    let mut client = host.connect(Request::new()).unwrap();
    write(&mut client, "text", &[b"half"]);
    client.disconnect();
}

#[test]
fn a_text_that_is_not_utf8_is_not_sent() {
    let host = Host::load::<Author>();
    for bad in [&[b"a\xff".as_slice()][..], &[b"\xe2\x82", b"a"]] {
        let mut client = host.connect(Request::new()).unwrap();
        write(&mut client, "text", bad);
        let close = Received::Close(CloseCode::INVALID_PAYLOAD, String::new());
        assert_eq!(client.received(), [close]);
    }
    // The end cuts a character.
    let mut client = host.connect(Request::new()).unwrap();
    write(&mut client, "text", &[b"a\xe2\x82"]);
    client.send("finish");
    assert_eq!(client.received(), [incomplete()]);
}

#[test]
fn a_message_of_which_something_is_missing_does_not_end() {
    for host in [Host::load::<Author>(), Host::c_module::<Author>().unwrap()] {
        let mut client = host.connect(Request::new()).unwrap();
        write(&mut client, "text", &[b"a"]);
        for command in ["careless", "careless", "finish carelessly"] {
            client.send(command);
        }
        assert_eq!(client.received(), [incomplete()]);
    }
}

#[test]
fn under_the_c_module_the_message_is_sent_at_its_end() {
    let host = Host::c_module::<Author>().unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    write(&mut client, "text", &[b"a", b"b"]);
    client.send("before");
    client.send("flush");
    client.send("finish");
    assert_eq!(client.received(), [text("before"), text("ab")]);
}

#[test]
fn an_error_says_what_is_wrong() {
    let error = std::io::Error::from(SendError::Closed);
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(error.to_string(), SendError::Closed.to_string());
}
