//! Who a client is: what the handshake tells, and what senders know later.
#![allow(missing_docs, reason = "a test")]

use std::collections::HashSet;
use std::sync::Mutex;

use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

/// Keeps all senders, and says how many of them are different.
#[derive(Default)]
struct Register(Mutex<HashSet<Sender>>);

#[websocket_plugin]
impl Plugin for Register {
    type Connection = String;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<String, Rejection> {
        self.0.lock().unwrap().insert(handshake.sender());
        let mut facts = vec![
            format!("{:?}", handshake.client_port()),
            format!("{:?}", handshake.cookie("session")),
            format!("{:?}", handshake.query_value("room")),
            format!("{:?}", handshake.variable("SSL_PROTOCOL")),
        ];
        facts.extend(
            handshake
                .query_values()
                .map(|(name, value)| format!("{name}={value}")),
        );
        Ok(facts.join(" "))
    }

    fn on_message(&self, facts: &mut String, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        match m.as_text() {
            Some("facts") => to.send(&*facts)?,
            Some("who") => {
                let clone = to.clone();
                assert_eq!((clone.id(), &clone), (to.id(), to));
                let who = (to.client_address(), to.user(), to.path_info());
                to.send(format!("{who:?}"))?;
            }
            _ => {
                let mut all = self.0.lock().unwrap();
                all.insert(to.clone());
                to.send(all.len().to_string())?;
            }
        }
        Ok(())
    }
}

fn ask(request: Request, question: &str) -> String {
    let host = Host::load::<Register>();
    let mut client = host.connect(request).unwrap();
    client.send(question);
    match client.receive() {
        Received::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sender_knows_its_client() {
    let request = Request::new().client_address("::1").path_info("/a/ü");
    assert_eq!(
        ask(request.clone(), "who"),
        r#"(Some("::1"), None, Some("/a/ü"))"#
    );
    let request = request.user("alice").path_info("");
    assert_eq!(
        ask(request, "who"),
        r#"(Some("::1"), Some("alice"), Some(""))"#
    );
}

#[test]
fn senders_of_one_connection_are_equal_and_those_of_others_are_not() {
    let host = Host::load::<Register>();
    let mut clients = [(); 3].map(|()| host.connect(Request::new()).unwrap());
    for client in &mut clients {
        client.send("count");
        assert_eq!(client.receive(), Received::Text("3".into()));
    }
}

#[test]
fn the_handshake_reads_cookies_the_query_and_variables() {
    assert_eq!(ask(Request::new(), "facts"), "None None None None");
    let request = Request::new()
        .client_port(50_000)
        .header("Cookie", "old_session=1; session=a=b ;session=2")
        .query("x=%2F&room=a+b&room=c&flag")
        .variable("SSL_PROTOCOL", "TLSv1.3");
    let facts = r#"Some(50000) Some("a=b") Some("a b") Some("TLSv1.3") x=/ room=a b room=c flag="#;
    assert_eq!(ask(request, "facts"), facts);
}
