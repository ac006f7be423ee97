//! Limits that hold for all processes together.

use std::io::{Read, Write};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::ServerRoot;

use crate::rust::location;
use crate::support::frame::masked;
use crate::support::handshake::Response;
use crate::support::http2::Http2;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases, wait_until};

cases! {
    "limits: WebSocketMaxConnections counts all processes, and frees what has ended" => server,
    "limits: a virtual host has a limit of its own, within that of the server" => hosts,
    "limits: WebSocketMaxConnectionsPerClient goes by the address of mod_remoteip, of IPv6 by /64"
        => clients,
    "limits: WebSocketHandshakeRate refuses a client that asks too often, and no other" => rate,
    "limits: an inner section inherits limits, sets others, or switches them off" => merging,
    "limits: what killed processes had is free again" => killed,
    "limits: WebSockets over TLS and HTTP/2 and detached ones count" => transports,
    "limits: WebSockets of processes that are ending count" => graceful,
    "limits: handshakes that come at the same time do not exceed a limit together" => at_once,
}

/// A server with a plugin at `/journal` and one at `/echo`, behind a proxy that names its clients.
fn root(context: &Context, config: &str) -> Result<ServerRoot> {
    let plugins = context.plugins();
    Ok(context
        .root()?
        .stock_module("remoteip")
        .config("RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\nKeepAlive Off")
        .config(
            plugins.location("/journal", "journal", "") + &plugins.location("/echo", "echo", ""),
        )
        .config(config))
}

fn ask(httpd: &Httpd, handshake: &Handshake) -> Result<(Response, Client)> {
    let mut client = Client::connect(httpd.address())?;
    client.send(handshake.to_bytes())?;
    Ok((client.response()?, client))
}

fn open(httpd: &Httpd, handshake: &Handshake) -> Result<Client> {
    let mut client = Client::open(httpd.address(), handshake)?;
    client.echo("hello")?;
    Ok(client)
}

/// A handshake is refused with this status, and told when to come again.
fn expect_refusal(httpd: &Httpd, handshake: &Handshake, status: u16) -> Result<u64> {
    let (response, _) = ask(httpd, handshake)?;
    ensure!(
        response.status == status,
        "{response:?} instead of {status}"
    );
    let wait = response.header("Retry-After").context("no Retry-After")?;
    Ok(wait.parse()?)
}

/// Waits until a handshake is accepted again.
fn expect_room(httpd: &Httpd, handshake: &Handshake) -> Result<Client> {
    let mut room = None;
    wait_until("there is room again", || {
        let (response, client) = ask(httpd, handshake)?;
        room = (response.status == 101).then_some(client);
        Ok(room.is_some())
    })?;
    room.context("just set")
}

/// The only line about refusals for this cause.
fn expect_line(httpd: &Httpd, cause: &str, texts: &[&str]) -> Result<()> {
    let start = format!("the handshake is refused ({cause})");
    let line = httpd.wait_for_log(&start, PATIENCE)?;
    for text in texts.iter().chain(&["[websocket:warn]"]) {
        ensure!(line.contains(text), "no `{text}`: {line}");
    }
    Ok(())
}

fn from(handshake: Handshake, address: &str) -> Handshake {
    handshake.header("X-Forwarded-For", address)
}

fn server(context: &Context) -> Result<()> {
    let httpd = root(context, "WebSocketMaxConnections 3")?.start()?;
    let journal = Journal::new(context)?;
    let handshake = journal.handshake("/journal");
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(open(&httpd, &handshake)?);
    }
    for _ in 0..3 {
        ensure!(expect_refusal(&httpd, &handshake, 503)? == 10);
        ensure!(expect_refusal(&httpd, &Handshake::to("/echo"), 503)? == 10);
    }
    ensure!(
        journal.count("connect")? == 3,
        "the plugin was asked in vain"
    );
    ensure!(
        ask(&httpd, &Handshake::to("/absent"))?.0.status == 404,
        "an ordinary request"
    );
    let texts = [
        "the server has 3 WebSockets already",
        "<Location \"/journal\">, plugin ",
        "[client ",
    ];
    expect_line(&httpd, "connections", &texts)?;
    let lines = httpd.error_log()?.matches("refused (connections)").count();
    ensure!(lines <= httpd.child_pids()?.len(), "{lines} lines");
    for _ in 0..3 {
        clients.remove(0).close()?;
        clients.push(expect_room(&httpd, &handshake)?);
        ensure!(expect_refusal(&httpd, &handshake, 503)? == 10);
    }
    // A reset, and a refusal of the plugin, give back what was counted.
    clients.remove(0).reset()?;
    expect_room(&httpd, &handshake)?.close()
}

fn hosts(context: &Context) -> Result<()> {
    let host = |name: &str, limit: &str| {
        format!("<VirtualHost *:*>\nServerName {name}\n{limit}\n</VirtualHost>\n")
    };
    let config = "WebSocketMaxConnections 4\n".to_owned()
        + &host("two.example", "WebSocketMaxConnections 2")
        + &host("all.example", "")
        + &host("off.example", "WebSocketMaxConnections Off");
    let httpd = root(context, &config)?.start()?;
    let at = |host: &str| Handshake::to("/echo").header("Host", host);
    let _two = [
        open(&httpd, &at("two.example"))?,
        open(&httpd, &at("two.example"))?,
    ];
    expect_refusal(&httpd, &at("two.example"), 503)?;
    expect_line(
        &httpd,
        "connections",
        &["the virtual host has 2 WebSockets already"],
    )?;
    let third = open(&httpd, &at("all.example"))?;
    let _fourth = open(&httpd, &at("off.example"))?;
    for name in ["two.example", "all.example", "off.example"] {
        expect_refusal(&httpd, &at(name), 503)?;
    }
    third.close()?;
    drop(expect_room(&httpd, &at("off.example"))?);
    Ok(())
}

fn clients(context: &Context) -> Result<()> {
    let httpd = root(context, "WebSocketMaxConnectionsPerClient 2")?.start()?;
    let journal = Journal::new(context)?;
    let at = |address| from(journal.handshake("/journal"), address);
    for (one, other, third) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.2", "192.0.2.2", "192.0.2.2"),
        (
            "2001:db8:1:2::1",
            "2001:db8:1:2:3:4:5:6",
            "2001:db8:1:2:ffff::",
        ),
        ("2001:db8:1:3::1", "2001:db8:1:3::2", "2001:db8:1:3::3"),
    ] {
        let before = journal.count("connect")?;
        let first = open(&httpd, &at(one))?;
        let _second = open(&httpd, &at(other))?;
        ensure!(expect_refusal(&httpd, &at(third), 429)? == 10, "{third}");
        ensure!(
            journal.count("connect")? == before + 2,
            "the plugin was asked in vain"
        );
        first.close()?;
        let _again = expect_room(&httpd, &at(third))?;
        expect_refusal(&httpd, &at(one), 429)?;
    }
    let text = "the client has 2 WebSockets already (WebSocketMaxConnectionsPerClient)";
    expect_line(&httpd, "client", &[text, "[client 192.0.2.1"])
}

fn rate(context: &Context) -> Result<()> {
    let config = context
        .plugins()
        .location("/free", "echo", "WebSocketHandshakeRate Off");
    let httpd = root(context, &(config + "WebSocketHandshakeRate 2/min 3"))?.start()?;
    let journal = Journal::new(context)?;
    let [one, other] =
        ["192.0.2.1", "192.0.2.2"].map(|address| from(journal.handshake("/journal"), address));
    for number in 1..=3 {
        open(&httpd, &one)?.close()?;
        ensure!(journal.count("connect")? == number);
    }
    for _ in 0..5 {
        let wait = expect_refusal(&httpd, &one, 429)?;
        ensure!((1..=30).contains(&wait), "{wait} s");
    }
    ensure!(
        journal.count("connect")? == 3,
        "the plugin was asked in vain"
    );
    open(&httpd, &other)?.close()?;
    open(&httpd, &from(Handshake::to("/free"), "192.0.2.1"))?.close()?;
    // What is no handshake does not count.
    let page = from(Handshake::to("/absent"), "192.0.2.1");
    ensure!(ask(&httpd, &page)?.0.status == 404);
    expect_line(
        &httpd,
        "rate",
        &["(WebSocketHandshakeRate)", "[client 192.0.2.1"],
    )?;
    let lines = httpd.error_log()?.matches("refused (rate)").count();
    ensure!(lines <= httpd.child_pids()?.len(), "{lines} lines");

    // At a higher rate there is room soon.
    let httpd = root(context, "WebSocketHandshakeRate 4/s 1")?.start()?;
    open(&httpd, &one)?.close()?;
    expect_room(&httpd, &one)?.close()
}

fn merging(context: &Context) -> Result<()> {
    let at = |path, directives| context.plugins().location(path, "echo", directives);
    let config = at("/inherits", "")
        + &at("/two", "WebSocketMaxConnectionsPerClient 2")
        + &at("/off", "WebSocketMaxConnectionsPerClient Off")
        + "WebSocketMaxConnectionsPerClient 1\n";
    let httpd = root(context, &config)?.start()?;
    let _first = open(&httpd, &Handshake::to("/inherits"))?;
    expect_refusal(&httpd, &Handshake::to("/inherits"), 429)?;
    // A client is counted wherever it has a limit.
    let _second = open(&httpd, &Handshake::to("/two"))?;
    expect_refusal(&httpd, &Handshake::to("/two"), 429)?;
    let _more = [
        open(&httpd, &Handshake::to("/off"))?,
        open(&httpd, &Handshake::to("/off"))?,
    ];
    Ok(())
}

fn killed(context: &Context) -> Result<()> {
    let config = "WebSocketMaxConnections 3\nWebSocketMaxConnectionsPerClient 2\n";
    let httpd = root(context, config)?.start()?;
    let [one, other] =
        ["192.0.2.1", "192.0.2.2"].map(|address| from(Handshake::to("/echo"), address));
    for _ in 0..2 {
        let clients = [
            expect_room(&httpd, &one)?,
            expect_room(&httpd, &one)?,
            expect_room(&httpd, &other)?,
        ];
        expect_refusal(&httpd, &one, 429)?;
        expect_refusal(&httpd, &other, 503)?;
        let children = httpd.child_pids()?;
        for child in &children {
            let pid = Pid::from_raw(i32::try_from(*child)?).context("no process")?;
            kill_process(pid, Signal::KILL)?;
        }
        for mut client in clients {
            client.expect_end()?;
        }
        wait_until("only new children", || {
            let now = httpd.child_pids()?;
            Ok(!now.is_empty() && !now.iter().any(|child| children.contains(child)))
        })?;
    }
    expect_room(&httpd, &one)?.close()
}

fn close<S: Read + Write>(client: &mut Client<S>) -> Result<()> {
    client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
    client.expect(&Frame::close(1000))
}

fn transports(context: &Context) -> Result<()> {
    let detached = location(context, "/hermit", "hermit", "WebSocketDetach On");
    let root = root(context, &detached)?.tls_port(free_port()?);
    let httpd = context
        .with_http2(root)?
        .config("WebSocketMaxConnectionsPerClient 2\nWebSocketMaxConnections 2\n")
        .start()?;
    let echo = Handshake::to("/echo");
    let _detached = open(&httpd, &Handshake::to("/hermit"))?;
    let mut tls = Client::open_tls(&httpd, &echo)?;
    expect_refusal(&httpd, &echo, 429)?;
    let mut again = Client::connect_tls(&httpd)?;
    again.send(echo.to_bytes())?;
    ensure!(again.response()?.status == 429);
    if context.serves_http2()? {
        let http2 = Http2::connect(httpd.address())?;
        let refused = http2.ask(&echo)?.response;
        ensure!(refused.status.as_u16() == 429, "{refused:?}");
        close(&mut tls)?;
        let mut stream = None;
        wait_until("there is room over HTTP/2", || {
            let answer = http2.ask(&echo)?;
            stream = (answer.response.status.as_u16() == 200).then_some(answer.client);
            Ok(stream.is_some())
        })?;
        expect_refusal(&httpd, &echo, 429)?;
        close(&mut stream.context("just set")?)?;
        drop(expect_room(&httpd, &echo)?);
    }
    Ok(())
}

fn graceful(context: &Context) -> Result<()> {
    let httpd = root(context, "WebSocketMaxConnections 2")?.start()?;
    let echo = Handshake::to("/echo");
    let mut old = [open(&httpd, &echo)?, open(&httpd, &echo)?];
    let children = httpd.child_pids()?;
    httpd.graceful()?;
    wait_until("a new child", || {
        Ok(httpd
            .child_pids()?
            .iter()
            .any(|child| !children.contains(child)))
    })?;
    for _ in 0..3 {
        expect_refusal(&httpd, &echo, 503)?;
    }
    for client in &mut old {
        client.echo("still here")?;
    }
    let [first, _second] = old;
    first.close()?;
    expect_room(&httpd, &echo)?.close()
}

/// Handshakes on threads of their own, and the connections of those that were accepted.
fn ask_at_once(httpd: &Httpd, handshake: &Handshake, count: usize) -> Result<Vec<Client>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| ask(httpd, handshake)))
            .collect();
        let mut accepted = Vec::new();
        for thread in threads {
            let (response, client) = thread.join().expect("no panic")?;
            ensure!([101, 429, 503].contains(&response.status), "{response:?}");
            accepted.extend((response.status == 101).then_some(client));
        }
        Ok(accepted)
    })
}

fn at_once(context: &Context) -> Result<()> {
    for (config, most) in [
        ("WebSocketMaxConnections 10", 10),
        ("WebSocketMaxConnectionsPerClient 10", 10),
        ("WebSocketHandshakeRate 10/h", 10),
    ] {
        let httpd = root(context, config)?.start()?;
        let mut accepted = Vec::new();
        for _ in 0..4 {
            accepted.extend(ask_at_once(&httpd, &Handshake::to("/echo"), 20)?);
            ensure!(
                accepted.len() <= most,
                "{config}: {} accepted",
                accepted.len()
            );
        }
        // Those that came together may all have been refused; one by one they are not.
        while accepted.len() < most {
            accepted.push(open(&httpd, &Handshake::to("/echo"))?);
        }
        let (response, _) = ask(&httpd, &Handshake::to("/echo"))?;
        ensure!(
            [429, 503].contains(&response.status),
            "{config}: {response:?}"
        );
    }
    Ok(())
}
