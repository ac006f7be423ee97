//! The life of one connection as a plugin sees it.
#![forbid(unsafe_code)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Disconnect, Handshake, Message, OptionError, Options, Plugin, Rejection,
    SendError, Sender, websocket_plugin,
};

#[derive(Default)]
struct Echo;

#[websocket_plugin]
impl Plugin for Echo {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

#[test]
fn text_stays_text_and_binary_stays_binary() {
    let host = Host::load::<Echo>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("\u{e4}");
    client.send([0xff, 0]);
    client.send("");
    let expected = [
        Received::Text("\u{e4}".into()),
        Received::Binary(vec![0xff, 0]),
        Received::Text(String::new()),
    ];
    assert_eq!(client.received(), expected);
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Member;

impl Member {
    fn new() -> Self {
        ALIVE.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Relaxed);
    }
}

#[derive(Default)]
struct Club {
    senders: Mutex<Vec<Sender>>,
}

#[websocket_plugin]
impl Plugin for Club {
    type Connection = Member;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Member, Rejection> {
        self.senders.lock().unwrap().push(handshake.sender());
        if handshake.header("X-Banned").is_some() {
            return Err(Rejection::FORBIDDEN);
        }
        Ok(Member::new())
    }

    fn on_message(&self, _: &mut Member, _: &Sender, m: Message<'_>) -> Result<(), Close> {
        for sender in &*self.senders.lock().unwrap() {
            let sent = sender.send(m);
            assert_eq!(sent.is_ok(), sender.is_open());
        }
        Ok(())
    }

    fn on_disconnect(&self, _: Member, _: Disconnect) {
        let open = self
            .senders
            .lock()
            .unwrap()
            .iter()
            .filter(|s| s.is_open())
            .count();
        assert_eq!(
            open,
            ALIVE.load(Relaxed) - 1,
            "senders are closed before on_disconnect"
        );
    }
}

#[test]
fn a_thousand_connections_leak_nothing() {
    let cycles = if cfg!(miri) { 20 } else { 1000 };
    let host = Host::load::<Club>();
    for _ in 0..cycles {
        let mut client = host.connect(Request::new()).unwrap();
        client.send("hello");
        assert_eq!(client.received().len(), 1);
        assert_eq!(ALIVE.load(Relaxed), 1);
        client.disconnect();
        assert_eq!(ALIVE.load(Relaxed), 0);
        assert!(
            host.connect(Request::new().header("x-banned", "yes"))
                .is_err()
        );
    }
    assert_eq!(host.log(), [], "no callback panicked");
}

#[derive(Default)]
struct Inquisitive;

#[websocket_plugin(subprotocols("v2", "v1"))]
impl Plugin for Inquisitive {
    type Connection = String;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<String, Rejection> {
        let headers: Vec<_> = handshake.headers().unwrap().collect();
        let seen = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {headers:?} {:?} {:?}",
            handshake.method(),
            handshake.uri(),
            handshake.path_info(),
            handshake.query(),
            handshake.user(),
            handshake.client_address(),
            handshake.is_tls(),
            handshake.subprotocols().collect::<Vec<_>>(),
            handshake.subprotocol(),
        );
        if let Some(value) = handshake.header("X-Answer") {
            handshake.set_header("X-Answer", value)?;
            handshake.set_header("X-Answer", "bad\r\nX-Evil: yes")?;
        }
        handshake.sender().send("welcome")?;
        Ok(seen)
    }

    fn on_message(&self, seen: &mut String, to: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(to.send(&*seen)?)
    }
}

#[test]
fn the_handshake_has_all_facts_of_the_request() {
    let host = Host::load::<Inquisitive>();
    let request = Request::new()
        .uri("/chat/room?x=1")
        .path_info("/room")
        .query("x=1")
        .user("alice")
        .client_address("::1")
        .tls()
        .header("Cookie", "a=b")
        .header("X-Latin1", b"\xe4")
        .subprotocols(&["v1", "v2", "v3"]);
    let mut client = host.connect(request).unwrap();
    assert_eq!(
        client.subprotocol().as_deref(),
        Some("v2"),
        "the plugin's order counts"
    );
    client.send("");
    let seen = r#"Some("GET") Some("/chat/room?x=1") Some("/room") Some("x=1") Some("alice") Some("::1") Some(true) [("Cookie", "a=b")] ["v1", "v2", "v3"] Some("v2")"#;
    assert_eq!(
        client.received(),
        [
            Received::Text("welcome".into()),
            Received::Text(seen.into())
        ]
    );
}

#[test]
fn absent_facts_are_none() {
    let host = Host::load::<Inquisitive>();
    let mut client = host.connect(Request::new().subprotocols(&["v3"])).unwrap();
    client.send("");
    // With httpd, too, the path info is then empty.
    let seen =
        r#"Some("GET") Some("/") Some("") None None Some("127.0.0.1") Some(false) [] ["v3"] None"#;
    assert_eq!(client.received().last(), Some(&Received::Text(seen.into())));
    assert_eq!(client.subprotocol(), None);
}

#[test]
fn a_header_value_with_a_line_break_refuses_with_500() {
    let host = Host::load::<Inquisitive>();
    assert_eq!(
        host.connect(Request::new().header("X-Answer", "fine"))
            .err(),
        Some(500)
    );
    let log = host.log();
    assert_eq!(log.len(), 1);
    assert_eq!(
        log[0].text,
        "[Inquisitive] on_connect: header \"X-Answer\": not a valid name or value"
    );
}

struct Greeter {
    greeting: String,
}

#[websocket_plugin]
impl Plugin for Greeter {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["greeting"])?;
        Ok(Self {
            greeting: options.require("greeting")?.to_owned(),
        })
    }

    fn on_message(&self, _: &mut (), sender: &Sender, _: Message<'_>) -> Result<(), Close> {
        sender.send(&self.greeting)?;
        sender.close(CloseCode::NORMAL)?;
        assert_eq!(sender.send("more"), Err(SendError::Closed));
        Ok(())
    }
}

#[test]
fn each_set_of_options_makes_its_own_instance() {
    let hosts =
        ["hello", "good morning"].map(|g| Host::configure::<Greeter>(&[("greeting", g)]).unwrap());
    for (host, greeting) in hosts.iter().zip(["hello", "good morning"]) {
        let mut client = host.connect(Request::new()).unwrap();
        client.send("");
        let bye = Received::Close(CloseCode::NORMAL, String::new());
        assert_eq!(client.received(), [Received::Text(greeting.into()), bye]);
    }
}

#[test]
fn wrong_options_are_an_error_that_names_them() {
    let error = |options| Host::configure::<Greeter>(options).err();
    assert_eq!(error(&[]).as_deref(), Some("option `greeting` is missing"));
    let unknown = "unknown option `greting`: this plugin knows `greeting`";
    assert_eq!(error(&[("greting", "hi")]).as_deref(), Some(unknown));
}

#[derive(Default)]
struct Bouncer;

#[websocket_plugin]
impl Plugin for Bouncer {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        match handshake.header("X-Answer") {
            Some("challenge") => Err(Rejection::UNAUTHORIZED
                .with_header("WWW-Authenticate", "Basic realm=\"a\"")?
                .with_header("WWW-Authenticate", "Bearer")?
                .with_body("who are you?")),
            Some("split") => Err(Rejection::new(302).with_header("Location", "/\r\nX-Evil: yes")?),
            Some("smuggled") => Err(Rejection::new(302).with_header("content-length", "0")?),
            Some(status) => Err(Rejection::new(status.parse()?)),
            None => Ok(()),
        }
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

fn asking(answer: &str) -> Request {
    Request::new().header("X-Answer", answer)
}

#[test]
fn a_refusal_has_the_headers_and_the_body_of_the_plugin() {
    let host = Host::load::<Bouncer>();
    let refusal = host.refusal(asking("challenge")).unwrap();
    let headers: Vec<_> = refusal.headers().collect();
    let challenges = [
        ("WWW-Authenticate", "Basic realm=\"a\""),
        ("WWW-Authenticate", "Bearer"),
    ];
    assert_eq!((refusal.status(), headers), (401, challenges.to_vec()));
    assert_eq!(refusal.body(), Some(&b"who are you?"[..]));
    assert!(host.refusal(Request::new()).is_none());
    for status in [300, 418, 425, 499, 520, 599] {
        let refusal = host.refusal(asking(&status.to_string()));
        let refusal = refusal.unwrap();
        assert_eq!((refusal.status(), refusal.body()), (status, None));
    }
    let refused = Host::c_module::<Bouncer>().unwrap();
    let refused = refused.refusal(asking("challenge")).unwrap();
    assert_eq!((refused.status(), refused.headers().count()), (403, 0));
}

#[test]
fn an_invalid_rejection_refuses_with_500() {
    for (query, text) in [
        (
            "split",
            "on_connect: header \"Location\": not a valid name or value",
        ),
        (
            "smuggled",
            "on_connect: header \"content-length\": httpd sets it",
        ),
        ("200", "the status of a refusal is from 300 to 599"),
        ("600", "the status of a refusal is from 300 to 599"),
    ] {
        let host = Host::load::<Bouncer>();
        let refusal = host.refusal(asking(query)).unwrap();
        assert_eq!(
            (refusal.status(), refusal.headers().count()),
            (500, 0),
            "{query}"
        );
        let log = host.log();
        assert!(log.len() == 1 && log[0].text.contains(text), "{log:?}");
    }
}
