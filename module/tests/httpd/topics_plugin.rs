//! The plugin for topics, `examples/topics`.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use crate::rust::{CREDENTIALS, location, root_with_user};
use crate::status::Counters;
use crate::support::{Client, Context, Driver, Handshake, await_gone, cases, wait_until};
use crate::topics;

cases! {
    "topics plugin: clients in all children get what a client publishes" => publishing,
    "topics plugin: a client that comes back after a restart gets what it has missed" => resuming,
    "topics plugin: a client that has missed too much is told of a gap" => gap,
    "topics plugin: members are listed, and those who come and go are told of" => presence,
    "topics plugin: {user} stands for the user whom httpd has authenticated" => user,
    "topics plugin: limits of httpd are errors, and the connection goes on" => limits,
    "topics plugin: detached clients do what others do, also after a graceful restart" => detached,
    "topics plugin: httpd does not start with an option that is no pattern" => bad_options,
}

/// To clients that may do everything below `room`.
const OPTIONS: &str =
    "WebSocketPluginOption subscribe room/**\nWebSocketPluginOption publish room/**\n";

/// Serves the plugin at `/topics`, beside the test plugin at `/herald`.
fn start(context: &Context, directives: &str) -> Result<Httpd> {
    let plugin = location(context, "/topics", "topics", OPTIONS);
    topics::start(context, &format!("{directives}\n{plugin}"))
}

fn open(httpd: &Httpd) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to("/topics"))
}

fn next(client: &mut Client) -> Result<Value> {
    let text = client.next_text()?;
    serde_json::from_str(&text).context(text)
}

fn expect(client: &mut Client, expected: &Value) -> Result<()> {
    let actual = next(client)?;
    ensure!(actual == *expected, "{actual}, not {expected}");
    Ok(())
}

/// Sends a request, and returns the answer. Messages before it are added to `before`.
fn ask(client: &mut Client, request: &Value, before: &mut Vec<Value>) -> Result<Value> {
    client.text(request.to_string())?;
    loop {
        let message = next(client)?;
        if message.get("id").is_some() {
            ensure!(message["id"] == request["id"], "{message} to {request}");
            return Ok(message);
        }
        before.push(message);
    }
}

fn answer(client: &mut Client, request: &Value) -> Result<Value> {
    ask(client, request, &mut Vec::new())
}

fn subscribe(client: &mut Client, topic: &str) -> Result<Value> {
    let answer = answer(
        client,
        &json!({"type": "subscribe", "id": 1, "topic": topic}),
    )?;
    ensure!(answer["type"] == "subscribed", "{answer}");
    Ok(answer)
}

/// Publishes. Returns the position.
fn publish(client: &mut Client, topic: &str, data: &Value) -> Result<Value> {
    publish_and_hear(client, topic, data, &mut Vec::new())
}

/// The same. Messages before the answer are added to `before`.
fn publish_and_hear(
    client: &mut Client,
    topic: &str,
    data: &Value,
    before: &mut Vec<Value>,
) -> Result<Value> {
    let request = json!({"type": "publish", "id": 2, "topic": topic, "data": data});
    let mut answer = ask(client, &request, before)?;
    ensure!(answer["type"] == "published", "{answer}");
    Ok(answer["position"].take())
}

/// Subscribes after a position. Returns the data of the messages before the answer, and the answer.
fn resume(client: &mut Client, since: &Value) -> Result<(Vec<Value>, Value)> {
    let request = json!({"type": "subscribe", "id": 3, "topic": "room/a", "since": since});
    let mut missed = Vec::new();
    let answer = ask(client, &request, &mut missed)?;
    let data = missed.iter_mut().map(|message| message["data"].take());
    Ok((data.collect(), answer))
}

fn publishing(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut others = topics::crowd(&httpd, 3, "sub room/a")?;
    let mut client = open(&httpd)?;
    let subscribed = subscribe(&mut client, "room/*")?;
    let expected = json!({"type": "subscribed", "id": 1, "topic": "room/*", "recovery": "none"});
    ensure!(subscribed == expected, "{subscribed}");
    let mut speaker = open(&httpd)?;
    for (data, text) in [
        (json!("h\u{e9}llo"), "h\u{e9}llo"),
        (json!([1, {"a": null}]), r#"[1,{"a":null}]"#),
    ] {
        let position = publish(&mut speaker, "room/a", &data)?;
        ensure!(position.is_null(), "{position}");
        for other in &mut others {
            other.expect_text(text)?;
        }
        let message = json!({"type": "message", "topic": "room/a", "data": data});
        expect(&mut client, &message)?;
    }
    topics::ask(&mut others[0], "pub room/b plain")?;
    topics::ask(&mut others[0], "bin room/b xyz")?;
    expect(
        &mut client,
        &json!({"type": "message", "topic": "room/b", "data": "plain"}),
    )?;
    expect(
        &mut client,
        &json!({"type": "message", "topic": "room/b", "base64": "eHl6"}),
    )?;
    let end = json!({"type": "unsubscribe", "id": 4, "topic": "room/*"});
    ensure!(answer(&mut client, &end)?["type"] == "unsubscribed");
    publish(&mut speaker, "room/a", &json!("not for it"))?;
    subscribe(&mut client, "room/c")?;
    client.close()
}

fn resuming(context: &Context) -> Result<()> {
    let httpd = start(
        context,
        "WebSocketTopicHistory room/* 100\nWebSocketDrainTime 0",
    )?;
    let mut client = open(&httpd)?;
    subscribe(&mut client, "room/a")?;
    publish(&mut open(&httpd)?, "room/a", &json!(0))?;
    let mut seen = next(&mut client)?["position"].take();
    for (round, restart) in [
        Httpd::graceful as fn(&Httpd) -> Result<()>,
        Httpd::restart,
        Httpd::graceful,
    ]
    .iter()
    .enumerate()
    {
        let old = httpd.child_pids()?;
        restart(&httpd)?;
        // An old child may accept another connection in its last moment, and closes it. A child of
        // prefork serves its only connection to the end.
        if context.mpm != Mpm::Prefork {
            client.drain()?;
            await_gone(&httpd, &old)?;
        }
        publish(&mut open(&httpd)?, "room/a", &json!([round, 1]))?;
        let newest = publish(&mut open(&httpd)?, "room/a", &json!([round, 2]))?;
        client = open(&httpd)?;
        let (missed, answer) = resume(&mut client, &seen)?;
        ensure!(
            missed == [json!([round, 1]), json!([round, 2])],
            "{missed:?}"
        );
        ensure!(answer["recovery"] == "complete", "{answer}");
        ensure!(answer["position"] == newest, "{answer} after {newest}");
        publish(&mut open(&httpd)?, "room/a", &json!([round, 3]))?;
        let mut live = next(&mut client)?;
        ensure!(live["data"] == json!([round, 3]), "{live}");
        seen = live["position"].take();
    }
    Ok(())
}

fn gap(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicHistory room/* 2")?;
    let mut client = open(&httpd)?;
    let mut positions = Vec::new();
    for number in 0..5 {
        positions.push(publish(&mut client, "room/a", &json!(number))?);
    }
    for (since, missed, recovery) in [
        (&positions[0], vec![], "gap"),
        (&json!("0123456789abcdef-4"), vec![], "gap"),
        (&positions[2], vec![json!(3), json!(4)], "complete"),
        (&positions[4], vec![], "complete"),
    ] {
        let (got, answer) = resume(&mut client, since)?;
        ensure!(got == missed, "{since}: {got:?}");
        ensure!(answer["recovery"] == recovery, "{since}: {answer}");
        ensure!(answer["position"] == positions[4], "{since}: {answer}");
    }
    Ok(())
}

fn presence(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicPresence room/*")?;
    let mut watcher = open(&httpd)?;
    subscribe(&mut watcher, "room/a")?;
    let mut joined = next(&mut watcher)?;
    let own = joined["joined"][0]["id"].take();
    ensure!(own.is_string(), "{joined}");
    let mut guest = open(&httpd)?;
    subscribe(&mut guest, "room/a")?;
    let mut joined = next(&mut watcher)?;
    let guests = joined["joined"][0]["id"].take();
    ensure!(joined["topic"] == "room/a" && guests != own, "{joined}");
    let members = json!({"type": "presence", "id": 5, "topic": "room/a"});
    let mut asker = open(&httpd)?;
    wait_until("both are counted", || {
        Ok(answer(&mut asker, &members)?["count"] == 2)
    })?;
    let listed = answer(&mut asker, &members)?;
    let listed = listed["members"].as_array().context("no list")?;
    ensure!(listed.len() == 2, "{listed:?}");
    for id in [&own, &guests] {
        ensure!(listed.contains(&json!({"id": id})), "{id}: {listed:?}");
    }
    // The first thing that a newcomer is told is who has come.
    let told = next(&mut guest)?;
    ensure!(told["joined"] == json!([{"id": guests}]), "{told}");
    guest.close()?;
    let left = next(&mut watcher)?;
    let expected = json!({"type": "presence", "topic": "room/a", "left": [guests]});
    ensure!(left == expected, "{left}");
    let number = json!({"type": "presence", "id": 6, "topic": "room/a", "list": false});
    let expected = json!({"type": "members", "id": 6, "topic": "room/a", "count": 1});
    wait_until("one is counted", || {
        Ok(answer(&mut asker, &number)? == expected)
    })
}

fn user(context: &Context) -> Result<()> {
    let options = "WebSocketPluginOption subscribe \"inbox/{user} news/*\"\n\
                   WebSocketPluginOption publish outbox/{user}/*";
    let (root, valid_user) = root_with_user(context)?;
    let httpd = root
        .config(location(
            context,
            "/users",
            "topics",
            &format!("{options}\n{valid_user}"),
        ))
        .config(location(context, "/all", "topics", options))
        .start()?;
    let basic = Handshake::to("/users").header("Authorization", CREDENTIALS);
    let mut user = Client::open(httpd.address(), &basic)?;
    let mut guest = Client::open(httpd.address(), &Handshake::to("/all"))?;
    for (kind, topic, for_user, for_guest) in [
        ("subscribe", "inbox/user", true, false),
        ("subscribe", "inbox/other", false, false),
        ("subscribe", "inbox/{user}", false, false),
        ("subscribe", "inbox/*", false, false),
        ("subscribe", "**", false, false),
        ("subscribe", "news/*", true, true),
        ("publish", "outbox/user/a", true, false),
        ("publish", "outbox/other/a", false, false),
        ("publish", "inbox/user", false, false),
        ("presence", "inbox/user", true, false),
        ("presence", "outbox/user/a", false, false),
    ] {
        let mut request = json!({"type": kind, "id": 1, "topic": topic});
        if kind == "publish" {
            request["data"] = json!(1);
        }
        for (client, may) in [(&mut user, for_user), (&mut guest, for_guest)] {
            let answer = answer(client, &request)?;
            let is_refused = answer["code"] == "forbidden";
            ensure!(is_refused != may, "{kind} {topic}: {answer}");
        }
    }
    Ok(())
}

fn limits(context: &Context) -> Result<()> {
    let httpd = start(
        context,
        "WebSocketMaxTopics 2\nWebSocketTopicMemory 1048576",
    )?;
    let mut client = open(&httpd)?;
    subscribe(&mut client, "room/a")?;
    subscribe(&mut client, "room/**")?;
    let long = "x".repeat(32_769);
    for (request, code) in [
        (
            json!({"type": "subscribe", "id": 7, "topic": "room/b"}),
            "limit",
        ),
        (
            json!({"type": "publish", "id": 7, "topic": "room/a", "data": long}),
            "too-large",
        ),
        (
            json!({"type": "publish", "id": 7, "topic": "room/*", "data": 1}),
            "bad-topic",
        ),
        (
            json!({"type": "subscribe", "id": 7, "topic": "hall"}),
            "forbidden",
        ),
        (json!({"type": "shout", "id": 7}), "bad-request"),
    ] {
        let answer = answer(&mut client, &request)?;
        ensure!(answer["code"] == code, "{answer}");
    }
    client.binary("{}")?;
    let error = next(&mut client)?;
    ensure!(error["code"] == "bad-request", "{error}");
    let message = json!({"type": "message", "topic": "room/a", "data": &long[1..]});
    publish(&mut open(&httpd)?, "room/a", &message["data"])?;
    expect(&mut client, &message)
}

fn detached(context: &Context) -> Result<()> {
    let options = format!("{OPTIONS}WebSocketDetach On\n");
    let plugin = location(context, "/topics", "topics", &options);
    let settings = "WebSocketTopicHistory room/* 100\nWebSocketDrainTime 1h\nServerLimit 64";
    let httpd = topics::start(context, &format!("{settings}\n{plugin}"))?;
    let (mut first, mut first_heard) = (open(&httpd)?, Vec::new());
    subscribe(&mut first, "room/*")?;
    let detached = Counters::ask(&httpd)?.detached;
    ensure!(
        detached == u64::from(context.driver == Driver::Event),
        "{detached}"
    );
    let seen = publish_and_hear(&mut first, "room/a", &json!(1), &mut first_heard)?;
    // The first client stays in its process, which is an old one from now on.
    httpd.graceful()?;
    let (mut second, mut second_heard) = (open(&httpd)?, Vec::new());
    let (missed, subscribed) = resume(&mut second, &seen)?;
    ensure!(missed.is_empty(), "{missed:?}");
    ensure!(subscribed["recovery"] == "complete", "{subscribed}");
    publish_and_hear(&mut second, "room/a", &json!(2), &mut second_heard)?;
    publish_and_hear(&mut first, "room/a", &json!(3), &mut first_heard)?;
    for (client, heard, numbers) in [
        (&mut first, &mut first_heard, 1..4),
        (&mut second, &mut second_heard, 2..4),
    ] {
        while heard.len() < numbers.len() {
            heard.push(next(client)?);
        }
        let heard = heard.iter().map(|message| message["data"].clone());
        ensure!(heard.eq(numbers.map(Value::from)), "not in order");
    }
    let members = json!({"type": "presence", "id": 5, "topic": "room/a", "list": false});
    let mut await_members = |count: u64| {
        wait_until("the members are counted", || {
            Ok(answer(&mut first, &members)?["count"] == count)
        })
    };
    await_members(1)?;
    second.close()?;
    await_members(0)?;
    first.close()
}

fn bad_options(context: &Context) -> Result<()> {
    for (option, error) in [
        (
            "subscribe /a",
            "option `subscribe`: `/a`: a topic is a list of segments",
        ),
        (
            "publish \"a b*\"",
            "option `publish`: `b*`: a star may only",
        ),
        (
            "subscribe inbox/{name}",
            "option `subscribe`: `inbox/{name}`: braces are only for {user}",
        ),
        (
            "history 5",
            "unknown option `history`: this plugin knows `subscribe`, `publish`",
        ),
    ] {
        let option = format!("WebSocketPluginOption {option}");
        let plugin = location(context, "/topics", "topics", &option);
        let checked = context.root()?.config(plugin).check_config()?;
        ensure!(
            !checked.ok && checked.message.contains(error),
            "{checked:?}"
        );
    }
    Ok(())
}
