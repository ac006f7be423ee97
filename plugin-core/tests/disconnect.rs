//! What plugins are told of the end of a connection, and of a client that does not keep up.
#![allow(missing_docs, reason = "a test")]

use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{Close, CloseCode, Disconnect, Message, Plugin, Sender, websocket_plugin};

/// Closes at the message `close`, and answers `buffered`. Logs each end.
#[derive(Default)]
struct Ender;

#[websocket_plugin]
impl Plugin for Ender {
    fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
        match message.as_text() {
            Some("close") => Err(Close::new(CloseCode::GOING_AWAY, "as told")),
            Some("buffered") => Ok(to.send(format!("{:?}", to.buffered()))?),
            _ => Ok(to.send(message)?),
        }
    }

    fn on_disconnect(&self, (): (), disconnect: Disconnect) {
        log::info!("{disconnect}, clean: {}", disconnect.is_clean());
    }
}

fn last_line(host: &Host) -> String {
    let line = host.log().pop().expect("the plugin logs each end");
    line.text.replace("[Ender] ", "")
}

#[test]
fn on_disconnect_says_who_closed_and_whether_that_was_clean() {
    let host = Host::load::<Ender>();
    let connect = || host.connect(Request::new()).unwrap();

    connect().close(Close::new(CloseCode::NORMAL, "bye"));
    let told = "closed by the client with code 1000 and reason \"bye\", clean: true";
    assert_eq!(last_line(&host), told);

    connect().disconnect();
    assert_eq!(last_line(&host), "lost with code 1006, clean: false");

    let mut client = connect();
    client.send("close");
    drop(client);
    let told = "closed by the plugin with code 1001 and reason \"as told\", clean: true";
    assert_eq!(last_line(&host), told);
}

#[test]
fn buffered_counts_what_a_client_has_not_taken() {
    let host = Host::load::<Ender>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("buffered");
    assert_eq!(client.receive(), Received::Text("Some(0)".into()));
    client.stop_reading();
    client.send("12345");
    client.send("buffered");
    let answer = client.received().pop();
    assert_eq!(answer, Some(Received::Text("Some(5)".into())));
}
