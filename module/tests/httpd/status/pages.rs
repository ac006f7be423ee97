//! The pages of `SetHandler websocket-status`.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use xtask::httpd::Httpd;
use xtask::openmetrics::Parser;
use xtask::server_root::Mpm;
use xtask::workspace::Workspace;

use crate::support::{Client, Context, Driver, Handshake, PATIENCE, cases, wait_until};

cases! {
    "websocket-status: JSON counts open and accepted WebSockets by location and plugin" => json,
    "websocket-status: the text of OpenMetrics is what the strict parser takes" => openmetrics,
    "websocket-status: totals survive killed processes and restarts, open WebSockets do not"
        => totals,
    "websocket-status: while nothing is wrong both probes answer 200" => probes,
    "websocket-status: messages, bytes and turns count, each way" => traffic,
    "websocket-status: ends count by who closed and by code, refusals by cause" => ends,
    "websocket-status: bytes that wait for clients show, and go" => queued,
    "websocket-status: compressed messages count before and after" => compression,
    "websocket-status: answered pings count" => pings,
    "websocket-status: what there is no place for counts as other, and the log says so" => others,
    "websocket-status: a full server is not ready, but live" => full,
    "websocket-status: a child that drains is shown" => draining,
    "websocket-status: a child that drains is not ready, but live" => not_ready,
    "websocket-status: threads count, and those that callbacks block" => threads,
    "websocket-status: without JavaScript the page is a table" => page,
    "websocket-status: a WebSocket of the page answers each message with the tables" => live,
    "websocket-status: a page of another site cannot open the WebSocket" => foreign,
    "websocket-status: only GET and HEAD are answered, other queries get 404" => requests,
}

/// Where the pages are.
pub(crate) const LOCATION: &str =
    "<Location /ws-status>\nSetHandler websocket-status\n</Location>\n";

/// The answer to a request for one of the pages: head and body.
pub(crate) fn ask(httpd: &Httpd, method: &str, query: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(httpd.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("{method} /ws-status{query} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    Ok((head.to_owned(), body.to_owned()))
}

/// The body of a page.
pub(crate) fn get(httpd: &Httpd, query: &str) -> Result<String> {
    let (head, body) = ask(httpd, "GET", query)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(body)
}

pub(crate) fn report(httpd: &Httpd) -> Result<Value> {
    Ok(serde_json::from_str(&get(httpd, "?format=json")?)?)
}

/// What the report says of a location.
pub(crate) fn series(report: &Value, location: &str) -> Result<Value> {
    let all = report["series"].as_array().context("no series")?;
    let found = all.iter().find(|series| series["location"] == location);
    found
        .cloned()
        .with_context(|| format!("no {location} in {report}"))
}

/// Waits until the report on a location is as expected.
pub(crate) fn await_series(
    httpd: &Httpd,
    location: &str,
    mut is_expected: impl FnMut(&Value) -> bool,
) -> Result<Value> {
    let mut last = Value::Null;
    let waited = wait_until("the report is as expected", || {
        last = series(&report(httpd)?, location)?;
        Ok(is_expected(&last))
    });
    waited
        .with_context(|| last.to_string())
        .map(|()| last.clone())
}

pub(crate) fn open(httpd: &Httpd, path: &str, count: usize) -> Result<Vec<Client>> {
    let open = |_| Client::open(httpd.address(), &Handshake::to(path));
    (0..count).map(open).collect()
}

fn json(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    ensure!(report(&httpd)?["series"] == Value::Array(Vec::new()));
    let mut echoes = open(&httpd, "/echo", 3)?;
    let _twin = open(&httpd, "/twin_a", 1)?;
    let now = report(&httpd)?;
    let echo = series(&now, "/echo")?;
    ensure!(echo["plugin"] == "echo_init in echo.so", "{echo}");
    ensure!(
        (&echo["open"], &echo["accepted"]) == (&3.into(), &3.into()),
        "{echo}"
    );
    let twin = series(&now, "/twin_a")?;
    ensure!((&twin["open"], &twin["accepted"]) == (&1.into(), &1.into()));
    let processes = now["processes"].as_array().context("no processes")?;
    let kinds = ["event_driven", "detached", "with_thread"];
    let numbers = processes
        .iter()
        .flat_map(|process| kinds.map(|kind| process[kind].as_u64()));
    ensure!(numbers.flatten().sum::<u64>() == 4, "{now}");
    echoes.swap_remove(0).close()?;
    await_series(&httpd, "/echo", |echo| {
        echo["open"] == 2 && echo["accepted"] == 3
    })?;
    Ok(())
}

fn openmetrics(context: &Context) -> Result<()> {
    let target = Workspace::find()?.target_dir().to_owned();
    let Some(parser) = Parser::install_if_possible(&target)? else {
        return Ok(());
    };
    let odd = "/odd\"\\name";
    let location = context.plugins().location(r#""/odd\"\\name""#, "echo", "");
    let httpd = context.start(&(LOCATION.to_owned() + &location))?;
    let _one = open(&httpd, "/echo", 2)?;
    let _other = open(&httpd, "/odd%22%5Cname", 1)?;
    let (head, text) = ask(&httpd, "GET", "?format=openmetrics")?;
    ensure!(
        head.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    let samples = parser.parse(&text)?;
    let value = |name: &str, location: &str| {
        let is_it = |sample: &&xtask::openmetrics::Sample| {
            sample.name == name && sample.labels["location"] == location
        };
        samples.iter().find(is_it).map(|sample| sample.value)
    };
    ensure!(
        value("websocket_connections", "/echo") == Some(2.0),
        "{text}"
    );
    ensure!(
        value("websocket_connections_accepted_total", odd) == Some(1.0),
        "{text}"
    );
    Ok(())
}

fn totals(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    let clients = open(&httpd, "/echo", 3)?;
    let mut last = 0;
    let mut accepted = |open: u64, expected: u64| {
        await_series(&httpd, "/echo", |echo| {
            let accepted = echo["accepted"].as_u64().unwrap_or_default();
            assert!(accepted >= last, "a total went down: {echo}");
            last = accepted;
            (echo["open"].as_u64(), accepted) == (Some(open), expected)
        })
    };
    accepted(3, 3)?;
    httpd.restart()?;
    accepted(0, 3)?;
    drop(clients);
    let clients = open(&httpd, "/echo", 2)?;
    accepted(2, 5)?;
    if context.mpm != Mpm::Prefork {
        let children = httpd.child_pids()?;
        for pid in &children {
            let pid = Pid::from_raw(i32::try_from(*pid)?).context("no process")?;
            kill_process(pid, Signal::KILL)?;
        }
        // A process that is ending may still accept the connection for the status.
        wait_until("the processes are gone", || {
            Ok(!httpd.child_pids()?.iter().any(|pid| children.contains(pid)))
        })?;
        accepted(0, 5)?;
    }
    drop(clients);
    let _clients = open(&httpd, "/echo", 1)?;
    wait_until("the new processes count on", || {
        let echo = series(&report(&httpd)?, "/echo")?;
        Ok(echo["open"] == 1 && echo["accepted"] == 6)
    })
}

fn probes(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    ensure!(get(&httpd, "?probe=live")? == "live\n");
    ensure!(get(&httpd, "?probe=ready")? == "ready\n");
    Ok(())
}

fn traffic(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    let mut clients = open(&httpd, "/echo", 2)?;
    for client in &mut clients {
        for text in ["", "abc", "x"] {
            client.echo(text)?;
        }
    }
    let echo = await_series(&httpd, "/echo", |echo| {
        [&echo["received"], &echo["sent"]]
            .iter()
            .all(|count| count["messages"] == 6)
    })?;
    ensure!(
        echo["received"]["bytes"] == 8 && echo["sent"]["bytes"] == 8,
        "{echo}"
    );
    let turns = &echo["turn_seconds"];
    ensure!(turns["count"] == 6, "{echo}");
    let buckets = turns["buckets"].as_array().context("no buckets")?;
    ensure!(
        buckets
            .iter()
            .filter_map(|bucket| bucket[1].as_u64())
            .sum::<u64>()
            == 6
    );
    Ok(())
}

fn ends(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    for client in open(&httpd, "/echo", 2)? {
        client.close()?;
    }
    open(&httpd, "/echo", 1)?.swap_remove(0).reset()?;
    let mut bad = open(&httpd, "/echo", 1)?.swap_remove(0);
    bad.send([0xff, 0x80])?;
    bad.expect_close(1002)?;
    let mut stop = Client::ask(httpd.address(), &Handshake::to("/echo").version(14))?;
    ensure!(stop.status == 400);
    let foreign = Handshake::to("/echo").header("Origin", "http://elsewhere.example");
    stop = Client::ask(httpd.address(), &foreign)?;
    ensure!(stop.status == 403);
    let echo = await_series(&httpd, "/echo", |echo| echo["open"] == 0)?;
    let expected = serde_json::json!([
        { "by": "client", "code": "1000", "count": 2 },
        { "by": "error", "code": "1002", "count": 1 },
        { "by": "lost", "code": "1006", "count": 1 },
    ]);
    ensure!(echo["closed"] == expected, "{echo}");
    let refused = &echo["refused"];
    ensure!(
        (&refused["handshake"], &refused["origin"]) == (&1.into(), &1.into()),
        "{echo}"
    );
    Ok(())
}

/// More than sockets take.
const LARGE: usize = 8 << 20;

fn queued(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    let mut client = open(&httpd, "/echo", 1)?.swap_remove(0);
    client.binary(vec![0; LARGE])?;
    await_series(&httpd, "/echo", |echo| {
        echo["queued_bytes"].as_u64() > Some(0)
    })?;
    ensure!(client.frame()?.payload.len() == LARGE);
    await_series(&httpd, "/echo", |echo| echo["queued_bytes"] == 0)?;
    // What a client never takes is forgotten when it goes.
    client.binary(vec![0; LARGE])?;
    await_series(&httpd, "/echo", |echo| {
        echo["queued_bytes"].as_u64() > Some(0)
    })?;
    client.reset()?;
    await_series(&httpd, "/echo", |echo| echo["queued_bytes"] == 0)?;
    Ok(())
}

fn compression(context: &Context) -> Result<()> {
    let httpd = context.start(&format!("{LOCATION}WebSocketCompression On\n"))?;
    let offer = Handshake::to("/echo").header("Sec-WebSocket-Extensions", "permessage-deflate");
    let mut client = Client::open(httpd.address(), &offer)?;
    // "Hello", compressed (RFC 7692, section 7.2.3.1), with RSV1 and a key of zeros.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    client.send([&[0xc1, 0x80 | 7, 0, 0, 0, 0], &hello[..]].concat())?;
    client.expect_text("Hello")?;
    client.text("a".repeat(1000))?;
    ensure!(client.frame()?.first_byte == 0xc1, "it is not compressed");
    let echo = await_series(&httpd, "/echo", |echo| echo["sent"]["messages"] == 2)?;
    let compression = &echo["compression"];
    let expected = serde_json::json!({ "plain": 5, "compressed": 7 });
    ensure!(compression["received"] == expected, "{echo}");
    let sent = &compression["sent"];
    ensure!(
        sent["plain"] == 1000 && sent["compressed"].as_u64() < Some(100),
        "{echo}"
    );
    Ok(())
}

fn pings(context: &Context) -> Result<()> {
    let httpd = context.start(&format!("{LOCATION}WebSocketPingInterval 100ms\n"))?;
    let mut client = open(&httpd, "/echo", 1)?.swap_remove(0);
    let ping = client.frame()?;
    ensure!(ping.first_byte == 0x89, "{ping:?}");
    client.send(
        [
            &[0x8a, 0x80 | u8::try_from(ping.payload.len())?, 0, 0, 0, 0],
            &*ping.payload,
        ]
        .concat(),
    )?;
    await_series(&httpd, "/echo", |echo| echo["ping_seconds"]["count"] == 1)?;
    Ok(())
}

fn others(context: &Context) -> Result<()> {
    /// So many are counted by themselves.
    const PLACES: usize = 31;
    let paths: Vec<_> = (0..PLACES + 2)
        .map(|number| format!("/at/{number}"))
        .collect();
    let locations = paths
        .iter()
        .map(|path| context.plugins().location(path, "echo", ""));
    let httpd = context.start(&format!("{LOCATION}{}", locations.collect::<String>()))?;
    for (number, path) in paths.iter().enumerate() {
        open(&httpd, path, 1)?.swap_remove(0).close()?;
        let is_told = httpd.error_log()?.contains("counts WebSockets of /at/");
        ensure!(is_told == (number >= PLACES), "{number}");
    }
    let other = await_series(&httpd, "other", |other| other["open"] == 0)?;
    ensure!(other["accepted"] == 2, "{other}");
    let line = httpd.wait_for_log("counts WebSockets of /at/31 ", PATIENCE)?;
    ensure!(line.contains("31 are counted by themselves"), "{line}");
    Ok(())
}

fn full(context: &Context) -> Result<()> {
    let httpd = context.start(&format!("{LOCATION}WebSocketMaxConnections 2\n"))?;
    let mut clients = open(&httpd, "/echo", 1)?;
    ensure!(get(&httpd, "?probe=ready")? == "ready\n");
    clients.append(&mut open(&httpd, "/echo", 1)?);
    let (head, body) = ask(&httpd, "GET", "?probe=ready")?;
    ensure!(
        head.starts_with("HTTP/1.1 503 ") && body == "full\n",
        "{head} {body}"
    );
    ensure!(
        head.contains("Retry-After: 10") && head.contains("Cache-Control: no-store"),
        "{head}"
    );
    ensure!(get(&httpd, "?probe=live")? == "live\n");
    clients.swap_remove(0).close()?;
    wait_until("the server is ready again", || {
        Ok(ask(&httpd, "GET", "?probe=ready")?.1 == "ready\n")
    })
}

fn draining(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let httpd = context.start(LOCATION)?;
    let client = open(&httpd, "/echo", 1)?;
    httpd.graceful()?;
    let count = || {
        let report = report(&httpd)?;
        let processes = report["processes"].as_array().context("no processes")?;
        anyhow::Ok(
            processes
                .iter()
                .filter(|process| process["draining"] == true)
                .count(),
        )
    };
    wait_until("a process drains", || Ok(count()? > 0))?;
    ensure!(
        get(&httpd, "?probe=ready")? == "ready\n",
        "new children are ready"
    );
    drop(client);
    wait_until("it is gone", || Ok(count()? == 0))
}

fn not_ready(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        // A process without a connection ends at once, and others serve one each.
        return Ok(());
    }
    let httpd = context.start_small(8, &format!("{LOCATION}KeepAlive Off\n"))?;
    let held = open(&httpd, "/echo", 1)?;
    let busy = u64::from(context.driver == Driver::Blocking);
    // The old child has accepted these before it is told.
    let mut asking = Vec::new();
    for probe in ["ready", "live"] {
        let mut client = Client::connect(httpd.address())?;
        client.send(format!("GET /ws-status?probe={probe} HTTP/1.1\r\n"))?;
        asking.push(client);
    }
    wait_until("both requests have a thread", || {
        Ok(httpd.status()?.busy_workers >= busy + 2)
    })?;
    httpd.graceful()?;
    let mut answers = Vec::new();
    for client in &mut asking {
        client.send("Host: localhost\r\n\r\n")?;
        let (response, page) = client.page()?;
        answers.push((response.status, page));
    }
    let expected = [(503, "draining\n".into()), (200, "live\n".into())];
    ensure!(answers == expected, "{answers:?}");
    drop(held);
    Ok(())
}

fn threads(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let keeper = context.plugins().handler_with("gate", "gatekeeper_init");
    let config = format!(
        "{LOCATION}WebSocketThreads 2 16\n\
         <Location /gatekeeper>\nSetHandler websocket-handler\n{keeper}\n</Location>\n"
    );
    let httpd = context.start_small(8, &config)?;
    let figures = || {
        let report = report(&httpd)?;
        let process = &report["processes"][0];
        anyhow::Ok(["threads", "threads_blocked"].map(|name| process[name].as_u64()))
    };
    ensure!(figures()? == [Some(0), Some(0)]);
    let mut blocked = Vec::new();
    for _ in 0..5 {
        let mut client = Client::open(httpd.address(), &Handshake::to("/gate"))?;
        client.text("wait")?;
        client.expect_text("waiting")?;
        blocked.push(client);
    }
    wait_until("five threads are blocked, and others are there", || {
        let [threads, blocked] = figures()?;
        Ok(blocked == Some(5) && threads >= Some(7))
    })?;
    Client::open(httpd.address(), &Handshake::to("/gatekeeper"))?.echo("release")?;
    wait_until("no thread is blocked", || Ok(figures()?[1] == Some(0)))
}

fn page(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    ensure!(get(&httpd, "")?.contains("No WebSocket has been opened yet"));
    let _clients = open(&httpd, "/echo", 3)?;
    let (head, html) = ask(&httpd, "GET", "")?;
    for header in [
        "Content-Type: text/html; charset=utf-8",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'",
    ] {
        ensure!(head.contains(header), "{head}");
    }
    let row = "<th scope=\"row\">/echo</th><td class=\"name\">echo_init in echo.so</td><td>3</td>";
    ensure!(html.contains(row), "{html}");
    ensure!(get(&httpd, "?asset=page.css")?.contains("color-scheme: light dark"));
    ensure!(get(&httpd, "?asset=page.js")?.contains("new WebSocket"));
    ensure!(get(&httpd, "?part=tables")?.contains(row));
    Ok(())
}

fn live(context: &Context) -> Result<()> {
    // Neither the plugin nor the settings around the page are its own.
    let around = format!(
        "{}\nWebSocketDetach Off\n{LOCATION}",
        context.plugins().handler("mutex")
    );
    let httpd = context.start(&around)?;
    let _echoes = open(&httpd, "/echo", 3)?;
    let mut page = open(&httpd, "/ws-status", 1)?.swap_remove(0);
    for _ in 0..2 {
        page.text("tables")?;
        let tables = page.next_text()?;
        ensure!(tables.starts_with("<dl id=\"sums\""), "{tables}");
        ensure!(tables.contains("<th scope=\"row\">/echo</th>"), "{tables}");
    }
    let own = report(&httpd)?;
    let all = own["series"].as_array().context("no series")?;
    let own = all
        .iter()
        .find(|series| series["plugin"] == "websocket-status");
    ensure!(own.context("it is not counted")?["open"] == 1);
    page.text("x".repeat(126))?;
    page.expect_close(1009)
}

fn foreign(context: &Context) -> Result<()> {
    for config in ["", "WebSocketOriginCheck Off\n"] {
        let httpd = context.start(&format!("{config}{LOCATION}"))?;
        let handshake = Handshake::to("/ws-status").header("Origin", "http://elsewhere.example");
        let status = Client::ask(httpd.address(), &handshake)?.status;
        ensure!(status == 403, "{config}{status}");
    }
    Ok(())
}

fn requests(context: &Context) -> Result<()> {
    let httpd = context.start(LOCATION)?;
    let (head, body) = ask(&httpd, "HEAD", "?format=json")?;
    ensure!(
        head.starts_with("HTTP/1.1 200 ") && body.is_empty(),
        "{head}"
    );
    for query in [
        "?format=xml",
        "?probe=",
        "?asset=../page.css",
        "?format=json&x",
    ] {
        let (head, _) = ask(&httpd, "GET", query)?;
        ensure!(head.starts_with("HTTP/1.1 404 "), "{query}: {head}");
    }
    let (head, _) = ask(&httpd, "POST", "?format=json")?;
    ensure!(!head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(())
}
