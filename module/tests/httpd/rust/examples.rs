//! The example plugins.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use xtask::broker::{Broker, Kind};
use xtask::httpd::Httpd;

use super::{CREDENTIALS, ask, expect_log, location, name_in_log, open, root_with_user};
use crate::support::frame::masked;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases, wait_until};
use crate::topics;

cases! {
    "Rust examples: echo" => echo,
    "Rust examples: dumb-increment counts up and can be reset" => dumb_increment,
    "Rust examples: members of a chat room in all children get every message" => chat,
    "Rust examples: the chat closes the connection of an invalid message" => chat_nonsense,
    "Rust examples: players in all children share the counter of their room" => counter,
    "Rust examples: the subprotocol selects the function" => subprotocol,
    "Rust examples: auth accepts users and holders of the cookie" => auth,
    "Rust examples: clients in all children get each tick of the ticker once" => ticker,
    "Rust examples: lookup asks a Redis" => lookup,
    "Rust examples: they work with only the C table" => plain,
}

/// A server with one process, but for prefork.
fn start(context: &Context, config: &str) -> Result<Httpd> {
    context.start_small(8, config)
}

fn echo(context: &Context) -> Result<()> {
    let httpd = start(context, &location(context, "/rust", "echo", ""))?;
    let mut client = open(&httpd, "/rust")?;
    for text in ["hello", "", "h\u{e9}llo", &"x".repeat(100_000)] {
        client.echo(text)?;
    }
    for payload in [&b"\xff\0"[..], b""] {
        client.binary(payload)?;
        client.expect(&Frame::binary(payload))?;
    }
    client.send(masked(Opcode::PING, "ping"))?;
    client.expect(&Frame::pong("ping"))?;
    client.close()
}

fn dumb_increment(context: &Context) -> Result<()> {
    let httpd = start(context, &location(context, "/rust", "dumb_increment", ""))?;
    counts_up(&httpd, "/rust")?;
    let response = Client::ask(httpd.address(), &Handshake::to("/rust"))?;
    ensure!(response.status == 403, "{response:?}");
    Ok(())
}

fn counts_up(httpd: &Httpd, target: &str) -> Result<()> {
    let protocol = "dumb-increment-protocol";
    let handshake = Handshake::to(target).header("Sec-WebSocket-Protocol", protocol);
    let mut client = Client::connect(httpd.address())?;
    let response = client.upgrade(&handshake)?;
    ensure!(
        response.header("Sec-WebSocket-Protocol") == Some(protocol),
        "{response:?}"
    );
    for number in 0..3 {
        client.expect_text(number.to_string())?;
    }
    client.text("reset\n")?;
    wait_until("it starts again", || Ok(client.next_text()? == "0"))?;
    client.expect_text("1")
}

fn lookup(context: &Context) -> Result<()> {
    let Some(redis) = Broker::start(Kind::Redis, &[])? else {
        eprintln!("skipped: no {}", Kind::Redis.program());
        return Ok(());
    };
    let option = format!("WebSocketPluginOption redis {}", redis.address());
    let httpd = start(context, &location(context, "/rust", "lookup", &option))?;
    let mut clients = [open(&httpd, "/rust")?, open(&httpd, "/rust")?];
    for client in &mut clients {
        client.text("no such key")?;
    }
    for client in &mut clients {
        client.expect_text("(none)")?;
    }
    let [first, mut second] = clients;
    first.close()?;
    ask(&mut second, "another one", "(none)")?;
    second.close()
}

fn chat(context: &Context) -> Result<()> {
    let config = [
        "WebSocketTopicHistory chat/** 10\n",
        &location(context, "/rust", "chat", "WebSocketPluginOption history 1"),
    ];
    let httpd = topics::start(context, &config.concat())?;
    let (mut alice, alice_is) = enter(&httpd, "/rust", &[])?;
    for text in ["1", "2"] {
        let say = format!(r#"{{"type":"say","text":"{text}"}}"#);
        ask(&mut alice, &say, &said(&alice_is, text))?;
    }
    let old = said(&alice_is, "2");
    let mut between = Vec::new();
    // Some MPMs have one child serve all, as long as that has free threads.
    let (mut bob, bob_is) = loop {
        let newcomer = enter(&httpd, "/rust", &[&old])?;
        alice.expect_text(event("joined", &newcomer.1))?;
        if children_that_logged(&httpd, "has come in")? > 1 {
            break newcomer;
        }
        ensure!(between.len() < 200, "one child serves all clients");
        between.push(newcomer);
    };
    let (mut elsewhere, elsewhere_is) = enter(&httpd, "/rust/games", &[])?;
    bob.text(r#"{"type":"rename","name":"bob"}"#)?;
    bob.expect_text(event("you", "bob"))?;
    bob.text(r#"{"type":"say","text":"h\u00e9llo"}"#)?;
    for client in [&mut alice, &mut bob] {
        client.expect_text(format!(
            r#"{{"type":"renamed","from":"{bob_is}","name":"bob"}}"#
        ))?;
        client.expect_text(said("bob", "h\u{e9}llo"))?;
    }
    bob.close()?;
    alice.expect_text(event("left", "bob"))?;
    alice.close()?;
    let say = r#"{"type":"say","text":"nobody here"}"#;
    ask(&mut elsewhere, say, &said(&elsewhere_is, "nobody here"))?;
    let logged = format!("[Chat] {alice_is} has come in");
    expect_log(&httpd, &logged, &["[websocket:info]"])
}

fn event(kind: &str, name: &str) -> String {
    format!(r#"{{"type":"{kind}","name":"{name}"}}"#)
}

fn said(name: &str, text: &str) -> String {
    format!(r#"{{"type":"said","name":"{name}","text":"{text}"}}"#)
}

/// Enters a room, which has sent these messages before. Returns the client and its name.
fn enter(httpd: &Httpd, path: &str, old: &[&str]) -> Result<(Client, String)> {
    let mut client = open(httpd, path)?;
    let you = client.next_text()?;
    let name = you.strip_prefix(r#"{"type":"you","name":""#);
    let name = name.and_then(|rest| rest.strip_suffix("\"}"));
    let name = name.with_context(|| you.clone())?.to_owned();
    ensure!(name.starts_with("guest-"), "{name}");
    for message in old {
        client.expect_text(message)?;
    }
    client.expect_text(event("joined", &name))?;
    Ok((client, name))
}

/// How many children have logged this.
fn children_that_logged(httpd: &Httpd, text: &str) -> Result<usize> {
    let log = httpd.error_log()?;
    let lines = log.lines().filter(|line| line.contains(text));
    let children: BTreeSet<_> = lines
        .filter_map(|line| line.split_once("[pid ")?.1.split([':', ']']).next())
        .collect();
    Ok(children.len())
}

fn chat_nonsense(context: &Context) -> Result<()> {
    let httpd = start(context, &location(context, "/rust", "chat", ""))?;
    for (room, nonsense, code) in [
        ("/rust/a", "nonsense", 1007),
        ("/rust/b", r#"{"type":"rename","name":""}"#, 1008),
    ] {
        let (mut client, _) = enter(&httpd, room, &[])?;
        client.text(nonsense)?;
        let close = client.frame()?;
        let payload = close.payload.get(..2).context("no code")?;
        ensure!(close.first_byte == Opcode::CLOSE, "{close:?}");
        ensure!(payload == u16::to_be_bytes(code), "{close:?}");
        client.send(masked(Opcode::CLOSE, payload))?;
        client.expect_end()?;
    }
    let star = Client::ask(httpd.address(), &Handshake::to("/rust/*"))?;
    ensure!(star.status == 404, "{star:?}");
    Ok(())
}

fn counter(context: &Context) -> Result<()> {
    let config = [
        "WebSocketTopicHistory counter/* Latest\nWebSocketTopicPresence counter/*\n",
        &location(
            context,
            "/rust",
            "counter",
            "WebSocketPluginOption interval 50",
        ),
    ];
    let httpd = topics::start(context, &config.concat())?;
    let mut players = vec![open(&httpd, "/rust/red?name=p0")?];
    // Some MPMs have one child serve all, as long as that has free threads.
    while children_that_logged(&httpd, "plays in counter/red")? < 2 {
        ensure!(players.len() < 200, "one child serves all clients");
        players.push(open(&httpd, &format!("/rust/red?name=p{}", players.len()))?);
    }
    let mut elsewhere = open(&httpd, "/rust/blue?name=carol")?;
    let last = players.len() - 1;
    for (number, player) in [0, last].into_iter().enumerate() {
        players[player].text(r#"{"clicks":1}"#)?;
        let click = format!(r#"-{}","data":"p{player}"}}"#, number + 1);
        for player in &mut players {
            wait_until("all get the click", || {
                Ok(player.next_text()?.ends_with(&click))
            })?;
        }
    }
    let everybody = |text: &str| (0..=last).all(|name| text.contains(&format!("\"p{name}\"")));
    wait_until("a player sees those of all children", || {
        Ok(everybody(&players[0].next_text()?))
    })?;
    wait_until("a player of another room sees none of them", || {
        Ok(elsewhere.next_text()? == r#"{"players":["carol"]}"#)
    })?;

    let response = Client::ask(httpd.address(), &Handshake::to("/rust/red"))?;
    let challenge = response.header("WWW-Authenticate");
    ensure!(response.status == 401 && challenge == Some(r#"Name realm="counter""#));
    ensure!(httpd.stop()?.success());
    Ok(())
}

fn subprotocol(context: &Context) -> Result<()> {
    let httpd = start(context, &location(context, "/rust", "subprotocol", ""))?;
    for (offered, chosen, answer) in [
        ("upper.example", "upper.example", "ABC"),
        ("upper.example, reverse.example", "reverse.example", "cba"),
    ] {
        let mut client = Client::connect(httpd.address())?;
        let handshake = Handshake::to("/rust").header("Sec-WebSocket-Protocol", offered);
        let response = client.upgrade(&handshake)?;
        ensure!(
            response.header("Sec-WebSocket-Protocol") == Some(chosen),
            "{response:?}"
        );
        ask(&mut client, "abc", answer)?;
        client.binary("abc")?;
        let close = [&1003_u16.to_be_bytes()[..], b"text only"].concat();
        client.expect(&Frame::new(Opcode::CLOSE, close))?;
    }
    let response = Client::ask(httpd.address(), &Handshake::to("/rust"))?;
    ensure!(response.status == 400, "{response:?}");
    Ok(())
}

fn auth(context: &Context) -> Result<()> {
    const PLUGIN: &str = "Cookie realm=\"auth\"";
    const HTTPD: &str = "Basic realm=\"x\"";
    let secret = "WebSocketPluginOption session 5ecre7";
    let (root, valid_user) = root_with_user(context)?;
    let valid_user = format!("{secret}\n{valid_user}");
    let httpd = root
        .config(location(context, "/cookie", "auth", secret))
        .config(location(context, "/users", "auth", &valid_user))
        .start()?;
    let cookie = |target| Handshake::to(target).header("Cookie", "a=b; session=5ecre7");
    let basic = |credentials| Handshake::to("/users").header("Authorization", credentials);

    for (handshake, name) in [
        (cookie("/cookie"), "holder of the cookie"),
        (basic(CREDENTIALS), "user"),
    ] {
        let mut client = Client::open(httpd.address(), &handshake)?;
        ask(&mut client, "hi", &format!("hello {name}"))?;
        client.close()?;
    }
    for (handshake, challenge) in [
        (Handshake::to("/cookie"), PLUGIN),
        (
            Handshake::to("/cookie").header("Cookie", "session=guess"),
            PLUGIN,
        ),
        (Handshake::to("/users"), HTTPD),
        (basic("Basic dXNlcjpndWVzcw=="), HTTPD), // user:guess
        (cookie("/users"), HTTPD),
    ] {
        let mut client = Client::connect(httpd.address())?;
        client.send(handshake.to_bytes())?;
        let response = client.response()?;
        ensure!(response.status == 401, "{response:?}");
        let asked = response.header("WWW-Authenticate");
        ensure!(asked == Some(challenge), "{response:?}");
        if challenge == PLUGIN {
            let client = name_in_log(&client)?;
            expect_log(&httpd, &client, &["[websocket:info]", "[Auth] refused"])?;
        }
    }
    Ok(())
}

fn ticker(context: &Context) -> Result<()> {
    const INTERVAL: u64 = 20;
    let option = format!("WebSocketPluginOption interval {INTERVAL}");
    let httpd = topics::start(context, &location(context, "/rust", "ticker", &option))?;
    let mut clients = vec![open(&httpd, "/rust")?];
    tick(&mut clients[0])?;
    // The first client stays in its process, and the second one is in a new one.
    httpd.graceful()?;
    clients.push(open(&httpd, "/rust")?);
    let first = tick(&mut clients[1])?;
    for client in &mut clients {
        let mut last = tick(client)?;
        while last < first + 20 * INTERVAL {
            let next = tick(client)?;
            let is_next = next > last && next.is_multiple_of(INTERVAL);
            ensure!(is_next, "{next} after {last}");
            last = next;
        }
    }
    ensure!(httpd.stop()?.success());
    Ok(())
}

/// A tick of the ticker, in milliseconds.
fn tick(client: &mut Client) -> Result<u64> {
    Ok(client.next_text()?.replace('.', "").parse()?)
}

fn plain(context: &Context) -> Result<()> {
    let plain = |name| {
        let handler = context
            .plugins()
            .handler_with("rust/plain", &format!("plain_{name}_init"));
        format!("<Location /plain/{name}>\nSetHandler websocket-handler\n{handler}\n</Location>\n")
    };
    let echo = location(context, "/rust", "echo", "");
    let httpd = start(
        context,
        &[echo, plain("echo"), plain("dumb_increment")].concat(),
    )?;
    for target in ["/plain/echo", "/rust"] {
        let mut client = open(&httpd, target)?;
        client.echo("hello")?;
        client.binary("\0")?;
        client.expect(&Frame::binary("\0"))?;
        client.close()?;
    }
    counts_up(&httpd, "/plain/dumb_increment")?;
    let response = Client::ask(httpd.address(), &Handshake::to("/plain/dumb_increment"))?;
    ensure!(response.status == 403, "{response:?}");
    Ok(())
}
