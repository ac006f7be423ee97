//! Topics: who gets what, in whatever child.

pub(crate) mod cluster;
pub(crate) mod figures;
pub(crate) mod history;
pub(crate) mod hosts;
pub(crate) mod presence;
pub(crate) mod publish;
pub(crate) mod unrest;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, ServerRoot, Sizing};

use crate::support::{Client, Context, Frame, Handshake, cases, wait_until};

cases! {
    "topics: subscribers in all children get each message once and in the same order" => order,
    "topics: a pattern describes topics, and several that do send a message once" => patterns,
    "topics: nothing comes after a subscription has ended" => unsubscribe,
    "topics: a subscription in on_connect sends after the response" => in_on_connect,
    "topics: binary messages, large ones and JSON come as they are, or in an envelope" => kinds,
    "topics: WebSocketMaxTopics limits the subscriptions of a connection" => limit,
    "topics: what is no topic is refused, and so is a message that is too large" => refused,
    "topics: virtual hosts have topics of their own, unless WebSocketTopicSpace says otherwise"
        => spaces,
    "topics: a subscriber that does not read is closed with 1013, and others go on" => slow,
    "topics: subscribers with compression get the same messages" => compressed,
    "topics: a plugin in C subscribes, publishes from callbacks and threads, and counts" => in_c,
    "topics: a bad directive is an error that says what is allowed" => bad_directives,
}

/// A server with three children or more, which serves the plugin at `/herald`.
pub(crate) fn root(context: &Context, config: &str) -> Result<ServerRoot> {
    let sizing = Sizing {
        processes: 3,
        threads: 64,
    };
    Ok(context.root()?.sizing(sizing).config(text(context, config)))
}

/// The configuration for the plugin at `/herald`.
pub(crate) fn text(context: &Context, config: &str) -> String {
    let location = context.plugins().rust_location("/herald", "herald");
    let children = if context.mpm == Mpm::Prefork {
        ""
    } else {
        "StartServers 3\nMinSpareThreads 130"
    };
    format!("{children}\n{location}\n{config}")
}

pub(crate) fn start(context: &Context, config: &str) -> Result<Httpd> {
    root(context, config)?.start()
}

pub(crate) fn open(httpd: &Httpd) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to("/herald"))
}

/// Has the plugin do something, and returns its answer.
pub(crate) fn ask(client: &mut Client, command: &str) -> Result<String> {
    client.text(command)?;
    let answer = client.next_text()?;
    let answer = answer.strip_prefix("= ");
    Ok(answer
        .with_context(|| format!("{command}: a message"))?
        .into())
}

pub(crate) fn expect(client: &mut Client, command: &str, answer: &str) -> Result<()> {
    let actual = ask(client, command)?;
    ensure!(actual == answer, "{command}: {actual}");
    Ok(())
}

/// Clients that have subscribed to a topic, in at least two children.
pub(crate) fn crowd(httpd: &Httpd, count: usize, command: &str) -> Result<Vec<Client>> {
    let mut clients = (0..count)
        .map(|_| open(httpd))
        .collect::<Result<Vec<_>>>()?;
    let mut children = BTreeSet::new();
    for client in &mut clients {
        children.insert(ask(client, "pid")?);
        ask(client, command)?;
    }
    // Some MPMs have one child serve all, as long as that has free threads.
    let mut others = Vec::new();
    for _ in 0..200 {
        if children.len() > 1 {
            return Ok(clients);
        }
        let mut other = open(httpd)?;
        if children.insert(ask(&mut other, "pid")?) {
            ask(&mut other, command)?;
            std::mem::swap(&mut clients[0], &mut other);
        }
        others.push(other);
    }
    bail!("one child serves all clients")
}

/// A client of another child than this.
pub(crate) fn open_elsewhere(httpd: &Httpd, pid: &str) -> Result<Client> {
    let mut others = Vec::new();
    for _ in 0..200 {
        let mut client = open(httpd)?;
        if ask(&mut client, "pid")? != pid {
            return Ok(client);
        }
        others.push(client);
    }
    bail!("one child serves all clients")
}

fn order(context: &Context) -> Result<()> {
    const EACH: usize = 25;
    let httpd = start(context, "")?;
    let mut clients = crowd(&httpd, 10, "sub room")?;
    for number in 0..EACH {
        for (from, client) in clients.iter_mut().enumerate() {
            client.text(format!("say room {from} {number}"))?;
        }
    }
    let count = EACH * clients.len();
    let mut heard = Vec::new();
    for client in &mut clients {
        let texts = (0..count).map(|_| client.next_text());
        heard.push(texts.collect::<Result<Vec<_>>>()?);
    }
    for other in &heard[1..] {
        ensure!(*other == heard[0], "two clients heard different things");
    }
    for from in 0..clients.len() {
        let own = heard[0]
            .iter()
            .filter(|text| text.starts_with(&format!("{from} ")));
        let expected = (0..EACH).map(|number| format!("{from} {number}"));
        ensure!(
            own.cloned().eq(expected),
            "messages of {from} are missing or out of order"
        );
    }
    for mut client in clients {
        expect(&mut client, "sub room", "none -")?;
        client.close()?;
    }
    Ok(())
}

fn patterns(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut clients = crowd(&httpd, 2, "sub a/*")?;
    let [one, many] = &mut clients[..] else {
        bail!("two clients")
    };
    for topic in ["a/**", "a/b", "**"] {
        ask(many, &format!("sub {topic}"))?;
    }
    let mut speaker = open(&httpd)?;
    for topic in ["a", "a/b", "a/b/c", "b", "a/c"] {
        ask(&mut speaker, &format!("pub {topic} {topic}"))?;
    }
    for expected in ["a/b", "a/c"] {
        one.expect_text(expected)?;
    }
    for expected in ["a", "a/b", "a/b/c", "b", "a/c"] {
        many.expect_text(expected)?;
    }
    Ok(())
}

fn unsubscribe(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut clients = crowd(&httpd, 2, "sub a")?;
    let [left, right] = &mut clients[..] else {
        bail!("two clients")
    };
    expect(left, "unsub a", "left")?;
    expect(left, "unsub a", "left")?;
    expect(left, "sub b", "none -")?;
    ask(&mut open(&httpd)?, "pub a 1")?;
    ask(&mut open(&httpd)?, "pub b 2")?;
    left.expect_text("2")?;
    right.expect_text("1")
}

fn in_on_connect(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicHistory news Latest")?;
    ask(&mut open(&httpd)?, "pub news old")?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/herald?news"))?;
    client.expect_text("old")?;
    ask(&mut open(&httpd)?, "host news new")?;
    client.expect_text("new")?;
    let answer = Client::ask(httpd.address(), &Handshake::to("/herald?*/a"))?;
    ensure!(answer.status == 500, "{answer:?}");
    Ok(())
}

fn kinds(context: &Context) -> Result<()> {
    const LARGE: usize = 300_000;
    let httpd = start(context, "")?;
    let mut plain = crowd(&httpd, 2, "sub a/b")?;
    let mut enveloped = open(&httpd)?;
    ask(&mut enveloped, "envelope a/*")?;
    let mut speaker = open(&httpd)?;
    for command in ["pub a/b \"x\"", "bin a/b xyz", "json a/b y"] {
        expect(&mut speaker, command, "-")?;
    }
    ask(&mut speaker, &format!("large a/b {LARGE}"))?;
    for client in &mut plain {
        client.expect_text("\"x\"")?;
        client.expect(&Frame::binary("xyz"))?;
        client.expect_text(r#"["y"]"#)?;
        client.expect_text("x".repeat(LARGE))?;
    }
    for data in [r#""data":"\"x\"""#, r#""base64":"eHl6""#, r#""data":["y"]"#] {
        enveloped.expect_text(format!(r#"{{"type":"message","topic":"a/b",{data}}}"#))?;
    }
    ensure!(enveloped.next_text()?.len() > LARGE);
    Ok(())
}

fn limit(context: &Context) -> Result<()> {
    let sections = "<Location /herald/more>\nWebSocketMaxTopics 3\n</Location>";
    let httpd = start(context, &format!("WebSocketMaxTopics 2\n{sections}"))?;
    let mut client = open(&httpd)?;
    for command in ["sub a", "sub b/*", "sub a"] {
        expect(&mut client, command, "none -")?;
    }
    let refused = ask(&mut client, "sub c")?;
    ensure!(refused.contains("WebSocketMaxTopics"), "{refused}");
    expect(&mut client, "unsub a", "left")?;
    expect(&mut client, "sub c", "none -")?;
    expect_limit(
        &mut Client::open(httpd.address(), &Handshake::to("/herald/more"))?,
        3,
    )?;
    expect_limit(
        &mut Client::open(httpd.address(), &Handshake::to("/herald/same"))?,
        2,
    )?;
    // The default.
    expect_limit(&mut open(&start(context, "")?)?, 128)
}

/// Expects that a new client may have so many subscriptions.
fn expect_limit(client: &mut Client, most: usize) -> Result<()> {
    for number in 0..most {
        expect(client, &format!("sub {number}"), "none -")?;
    }
    let refused = ask(client, "sub more")?;
    ensure!(refused.contains("WebSocketMaxTopics"), "{most}: {refused}");
    Ok(())
}

fn refused(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicMemory 1048576")?;
    let mut client = open(&httpd)?;
    for command in [
        "sub /a",
        "sub a//b",
        "sub a*",
        "pub a/* x",
        "unsub */a",
        "count *",
    ] {
        let answer = ask(&mut client, command)?;
        ensure!(
            answer.contains("not the name of a topic"),
            "{command}: {answer}"
        );
    }
    let answer = ask(&mut client, "large a 32769")?;
    ensure!(answer.contains("WebSocketTopicMemory"), "{answer}");
    expect(&mut client, "large a 32768", "-")
}

fn spaces(context: &Context) -> Result<()> {
    let hosts: String = ["one", "two", "three", "four"]
        .iter()
        .map(|name| {
            let space = match *name {
                "three" | "four" => "WebSocketTopicSpace shared",
                _ => "",
            };
            format!("<VirtualHost *>\nServerName {name}\n{space}\n</VirtualHost>\n")
        })
        .collect();
    let httpd = start(context, &hosts)?;
    let open = |host: &str| {
        Client::open(
            httpd.address(),
            &Handshake::to("/herald").header("Host", host),
        )
    };
    let mut clients = ["one", "two", "three", "four"]
        .iter()
        .map(|host| open(host))
        .collect::<Result<Vec<_>>>()?;
    for client in &mut clients {
        ask(client, "sub room")?;
    }
    for (host, text) in [("one", "1"), ("two", "2"), ("three", "3"), ("four", "4")] {
        ask(&mut open(host)?, &format!("pub room {text}"))?;
    }
    ask(&mut open("two")?, "host room all")?;
    for (client, expected) in clients.iter_mut().zip([
        &["1", "all"][..],
        &["2", "all"],
        &["3", "4", "all"],
        &["3", "4", "all"],
    ]) {
        for text in expected {
            client.expect_text(text)?;
        }
    }
    Ok(())
}

fn slow(context: &Context) -> Result<()> {
    const LENGTH: usize = 20_000;
    const COUNT: usize = 800;
    let httpd = start(context, "WebSocketSendQueue 1048576")?;
    let mut clients = crowd(&httpd, 3, "sub room")?;
    let mut stuck = Client::connect_with_buffer(httpd.address(), 4096)?;
    stuck.upgrade(&Handshake::to("/herald"))?;
    ask(&mut stuck, "sub room")?;
    let mut speaker = open(&httpd)?;
    for _ in 0..COUNT {
        expect(&mut speaker, &format!("large room {LENGTH}"), "-")?;
        for client in &mut clients {
            ensure!(client.next_text()?.len() == LENGTH);
        }
    }
    let mut heard = 0;
    loop {
        let frame = stuck.frame()?;
        if frame.payload.len() == LENGTH {
            heard += 1;
            continue;
        }
        ensure!(
            frame.payload.starts_with(&1013_u16.to_be_bytes()),
            "{frame:?}"
        );
        ensure!(heard < COUNT, "it was sent all {heard}");
        return Ok(());
    }
}

fn compressed(context: &Context) -> Result<()> {
    let httpd = start(
        context,
        "WebSocketCompression On\nWebSocketCompressionThreshold 0",
    )?;
    let mut plain = crowd(&httpd, 2, "sub room")?;
    let deflate = Handshake::to("/herald").header("Sec-WebSocket-Extensions", "permessage-deflate");
    let mut compressed = (0..3)
        .map(|_| Client::open(httpd.address(), &deflate))
        .collect::<Result<Vec<_>>>()?;
    for client in &mut compressed {
        client.text("sub room")?;
        client.frame()?;
    }
    let text = "a text that gets shorter ".repeat(10);
    ask(&mut open(&httpd)?, &format!("pub room {text}"))?;
    for client in &mut plain {
        client.expect_text(&text)?;
    }
    let frames = compressed.iter_mut().map(Client::frame);
    let frames = frames.collect::<Result<Vec<_>>>()?;
    ensure!(frames[0].payload.len() < text.len() / 2, "{:?}", frames[0]);
    ensure!(frames.iter().all(|frame| *frame == frames[0]));
    Ok(())
}

fn in_c(context: &Context) -> Result<()> {
    let location = context.plugins().location("/c", "topics", "");
    let httpd = start(context, &location)?;
    let open_c = || Client::open(httpd.address(), &Handshake::to("/c"));
    let (mut plain, mut enveloped, mut rust) = (open_c()?, open_c()?, open(&httpd)?);
    expect(&mut plain, "+c/room", "0")?;
    expect(&mut enveloped, "*c/**", "0")?;
    ask(&mut rust, "sub c/room")?;
    let mut speaker = open_c()?;
    for (command, result) in [
        ("+/c", 2),
        ("%", 2),
        ("-never", 0),
        ("![1]", 0),
        ("?from a thread", 0),
    ] {
        expect(&mut speaker, command, &result.to_string())?;
    }
    for text in ["[1]", "from a thread"] {
        plain.expect_text(text)?;
        rust.expect_text(text)?;
    }
    for data in ["[1]", "\"from a thread\""] {
        let text = format!(r#"{{"type":"message","topic":"c/room","data":{data}}}"#);
        enveloped.expect_text(text)?;
    }
    wait_until("both are counted", || {
        Ok(ask(&mut speaker, "#c/room")? == "102")
    })?;
    expect(&mut plain, "-c/room", "0")?;
    ask(&mut open(&httpd)?, "pub c/room late")?;
    rust.expect_text("late")?;
    expect(&mut plain, "+c/room", "0")
}

fn bad_directives(context: &Context) -> Result<()> {
    for (line, message) in [
        (
            "WebSocketMaxTopics 0",
            "WebSocketMaxTopics must be a number from 1",
        ),
        (
            "WebSocketTopicSpace \"\"",
            "WebSocketTopicSpace takes one argument",
        ),
        (
            "WebSocketTopicHistory /a 1",
            "WebSocketTopicHistory needs a topic",
        ),
        (
            "WebSocketTopicHistory a none",
            "needs the number of messages to keep",
        ),
        ("WebSocketTopicHistory a 1 soon", "500ms, 30s"),
        (
            "WebSocketTopicPresence a*",
            "WebSocketTopicPresence needs a topic",
        ),
        (
            "WebSocketTopicMemory 5",
            "WebSocketTopicMemory must be a number of bytes from 1048576",
        ),
        (
            "WebSocketTopicBroker http://localhost",
            "WebSocketTopicBroker needs an address such as redis://host",
        ),
        (
            "WebSocketTopicBroker nats://localhost/1",
            "WebSocketTopicBroker needs an address such as redis://host",
        ),
        (
            "WebSocketTopicBroker tls://me:secret@localhost",
            "add file:/path/of/the/file",
        ),
        (
            "WebSocketTopicBroker redis://me:secret@localhost",
            "add file:/path/of/the/file",
        ),
        (
            "WebSocketTopicBroker redis://localhost file:/proc/nothing",
            "WebSocketTopicBroker: cannot read /proc/nothing",
        ),
        (
            "WebSocketTopicBroker redis://localhost ca:/proc/version",
            "no certificate in PEM",
        ),
        (
            "WebSocketTopicBroker keep:1000 redis://localhost",
            "needs an address before 'keep:1000'",
        ),
        (
            "WebSocketTopicBroker redis://localhost keep:1",
            "must be a number from 100 to 100000000, not '1'",
        ),
        (
            "<VirtualHost *>\nWebSocketTopicBroker redis://localhost\n</VirtualHost>",
            "cannot stand in a <VirtualHost>",
        ),
        (
            "WebSocketTopicPartition Off",
            "WebSocketTopicPartition must be Refuse or Local, not 'Off'",
        ),
        (
            "<VirtualHost *>\nWebSocketTopicMemory 2000000\n</VirtualHost>",
            "cannot stand in a <VirtualHost>",
        ),
        (
            "<VirtualHost *>\nWebSocketTopicStore topics\n</VirtualHost>",
            "cannot stand in a <VirtualHost>",
        ),
    ] {
        let checked = root(context, line)?.check_config()?;
        let is_explained = !checked.ok && checked.message.contains(message);
        ensure!(is_explained, "{line}: {}", checked.message);
        ensure!(!checked.message.contains("secret"), "{}", checked.message);
    }
    Ok(())
}
