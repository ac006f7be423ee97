//! Plugins that take messages in parts.

use websocket_plugin::MessageKind::{Binary, Text};
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Message, MessageKind, Part, Plugin, Sender, websocket_plugin,
};

/// Says what comes, and pauses the client at each part but the last.
#[derive(Default)]
struct Parts;

struct Resume;

#[websocket_plugin]
impl Plugin for Parts {
    type Event = Resume;

    fn on_part(&self, _: &mut (), to: &Sender, part: Part<'_>) -> Result<(), Close> {
        assert_ne!(part.bytes, b"panic");
        let text = part.as_text().unwrap_or("binary");
        let Part {
            kind,
            bytes,
            is_last,
        } = part;
        to.send(format!("{kind:?} {} {text} {is_last}", bytes.len()))?;
        if !is_last && to.pause() {
            to.post::<Self>(Resume)?;
        }
        Ok(())
    }

    fn on_event(&self, _: &mut (), to: &Sender, Resume: Resume) -> Result<(), Close> {
        to.resume();
        Ok(())
    }
}

#[derive(Default)]
struct Whole;

#[websocket_plugin]
impl Plugin for Whole {
    fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(to.send(message)?)
    }
}

fn part(kind: MessageKind, bytes: &[u8], is_last: bool) -> Part<'_> {
    Part {
        kind,
        bytes,
        is_last,
    }
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

#[test]
fn a_plugin_gets_each_part_and_may_pause_between_them() {
    let host = Host::load::<Parts>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send_part(part(Text, b"one, ", false));
    assert_eq!(client.received(), [text("Text 5 one,  false")]);
    client.send_part(part(Text, b"two", false));
    client.send_part(part(Text, b"", true));
    client.send(b"whole");
    assert_eq!(
        client.received(),
        [
            text("Text 3 two false"),
            text("Text 0  true"),
            text("Binary 5 binary true")
        ]
    );
}

#[test]
fn a_plugin_for_whole_messages_gets_one_at_its_last_part() {
    let host = Host::load::<Whole>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send_part(part(Binary, b"a", false));
    client.send_part(part(Binary, b"b", false));
    assert_eq!(client.received(), []);
    client.send_part(part(Binary, b"c", true));
    assert_eq!(client.received(), [Received::Binary(b"abc".into())]);
}

#[test]
fn under_the_c_module_each_message_is_one_part() {
    let host = Host::c_module::<Parts>().unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    client.send_part(part(Text, b"a", false));
    client.send_part(part(Text, b"b", true));
    assert_eq!(client.received(), [text("Text 2 ab true")]);
}

#[test]
fn a_panic_ends_the_connection() {
    let host = Host::load::<Parts>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send_part(part(Text, b"panic", false));
    client.send_part(part(Text, b"more", false));
    let close = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
    assert_eq!(client.received(), [close]);
    assert!(host.log()[0].text.contains("on_part panicked"));
}
