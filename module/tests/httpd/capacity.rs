//! What the settings of the MPM can hold, and the part of it that WebSockets leave to others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, ServerRoot};

use crate::descriptors::limit;
use crate::support::handshake::Response;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Driver, Handshake, PATIENCE, cases, wait_until};

cases! {
    "capacity: WebSockets that fill a server with Debian's settings leave web pages alive"
        => debian,
    "capacity: where each WebSocket holds a thread the last ones are kept if a reserve is set"
        => threads,
    "capacity: a section may keep more, or nothing" => sections,
    "capacity: what a killed child had is free again" => killed,
    "capacity: settings of a server without WebSockets are warned of, with the lines to write"
        => warning,
    "capacity: each row of the book's table holds as many WebSockets as it says" => book,
}

/// Debian's `mpm_event.conf`, with children that are not taken for idle.
const DEBIAN: &str = "StartServers 2\nMinSpareThreads 25\nMaxSpareThreads 150\nThreadLimit 64\n\
                      ThreadsPerChild 25\nMaxRequestWorkers 150\nMaxConnectionsPerChild 0\n";

fn debian_root(context: &Context, config: &str) -> Result<ServerRoot> {
    let root = context.root()?.without_sizing().config(DEBIAN);
    Ok(root.config(context.plugins().locations()).config(config))
}

/// A handshake, and its connection if it was accepted.
fn ask(httpd: &Httpd, handshake: &Handshake) -> Result<(Response, Client)> {
    let mut client = Client::connect(httpd.address())?;
    client.send(handshake.to_bytes())?;
    Ok((client.response()?, client))
}

/// Opens WebSockets until one is refused, which must be as a refusal has to be.
fn fill(httpd: &Httpd, handshake: &Handshake, most: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    loop {
        let number = clients.len();
        ensure!(number <= most, "nothing is refused");
        let (response, client) =
            ask(httpd, handshake).with_context(|| format!("after {number}"))?;
        if response.status != 101 {
            ensure!(response.status == 503, "{response:?}");
            ensure!(response.header("Retry-After") == Some("10"), "{response:?}");
            return Ok(clients);
        }
        clients.push(client);
    }
}

/// An ordinary request.
fn get_page(httpd: &Httpd) -> Result<()> {
    let mut stream = TcpStream::connect(httpd.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /server-status?auto HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(())
}

/// Requests that come at the same time.
fn get_pages(httpd: &Httpd, count: usize) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| get_page(httpd)))
            .collect();
        let mut answers = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        answers.try_for_each(|answer| answer)
    })
}

fn debian(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let httpd = debian_root(context, "")?.start()?;
    let journal = Journal::new(context)?;
    let mut clients = fill(&httpd, &journal.handshake("/journal"), 450)?;
    ensure!(clients.len() == 405, "{} fit", clients.len());
    ensure!(
        journal.count("connect")? == 405,
        "the plugin was asked in vain"
    );
    get_pages(&httpd, 20)?;
    for client in &mut clients {
        client.echo("still here")?;
    }
    let (again, _) = ask(&httpd, &Handshake::to("/echo"))?;
    ensure!(again.status == 503, "{again:?}");
    let log = httpd.error_log()?;
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("refused (reserve)"))
        .collect();
    let most = httpd.child_pids()?.len();
    ensure!(
        (1..=most).contains(&lines.len()),
        "once in each process: {lines:#?}"
    );
    for text in [
        "406 WebSockets",
        "10 % of the 450 connections",
        "raise AsyncRequestWorkerFactor",
    ] {
        ensure!(lines[0].contains(text), "no {text}: {}", lines[0]);
    }
    for client in clients.drain(..10) {
        client.close()?;
    }
    wait_until("there is room again", || {
        Ok(ask(&httpd, &Handshake::to("/echo"))?.0.status == 101)
    })
}

fn threads(context: &Context) -> Result<()> {
    if context.driver == Driver::Event {
        return Ok(());
    }
    let at = |path, reserve| context.plugins().location(path, "echo", reserve);
    let config = at("/kept", "WebSocketReserve 10") + "KeepAlive Off";
    let httpd = context.start_small(10, &config)?;
    let clients = fill(&httpd, &Handshake::to("/kept"), 10)?;
    ensure!(clients.len() == 9, "{} fit", clients.len());
    get_page(&httpd)?;
    let log = httpd.error_log()?;
    let remedy = if context.mpm == Mpm::Event {
        "AsyncRequestWorkerFactor"
    } else {
        "MaxRequestWorkers"
    };
    ensure!(log.contains(&format!("raise {remedy}")), "{log}");
    // As with the C module, all may be taken.
    let (response, _client) = ask(&httpd, &Handshake::to("/echo"))?;
    ensure!(response.status == 101, "{response:?}");
    Ok(())
}

fn sections(context: &Context) -> Result<()> {
    let at = |path, directives| context.plugins().location(path, "echo", directives);
    // Of ten threads, or of as many connections.
    let config = at("/half", "WebSocketReserve 50")
        + "<Location /none>\nWebSocketReserve 0\n</Location>\n"
        + &at("/none/inside", "")
        + small_factor(context)
        + "\nWebSocketReserve 30\n";
    let threads = if context.driver == Driver::Event {
        5
    } else {
        10
    };
    let httpd = context.start_small(threads, &config)?;
    let half = fill(&httpd, &Handshake::to("/half"), 10)?;
    let server = fill(&httpd, &Handshake::to("/echo"), 10)?;
    ensure!(
        (half.len(), server.len()) == (5, 2),
        "{} and {}",
        half.len(),
        server.len()
    );
    let inside = [(); 2].map(|()| ask(&httpd, &Handshake::to("/none/inside")));
    for answer in &inside {
        let (response, _) = answer
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error:#}"))?;
        ensure!(response.status == 101, "{response:?}");
    }
    Ok(())
}

/// Has each thread of the event MPM stand for two connections.
fn small_factor(context: &Context) -> &'static str {
    if context.mpm == Mpm::Event {
        "AsyncRequestWorkerFactor 1\nKeepAlive Off\nWebSocketReserve 10"
    } else {
        "KeepAlive Off\nWebSocketReserve 10"
    }
}

fn killed(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        return Ok(()); // each process has one connection
    }
    let httpd = context.start_small(10, small_factor(context))?;
    let first = fill(&httpd, &Handshake::to("/echo"), 20)?.len();
    for _ in 0..2 {
        let &[child] = &*httpd.child_pids()? else {
            anyhow::bail!("not one child");
        };
        let pid = Pid::from_raw(i32::try_from(child)?).context("no process")?;
        kill_process(pid, Signal::KILL)?;
        wait_until("a new child", || {
            let children = httpd.child_pids()?;
            Ok(!children.is_empty() && !children.contains(&child))
        })?;
        let again = fill(&httpd, &Handshake::to("/echo"), 20)?.len();
        ensure!(again == first, "{again} instead of {first}");
    }
    Ok(())
}

const WARNING: &str = "these settings allow about";

fn warning(context: &Context) -> Result<()> {
    if context.mpm != Mpm::Event {
        let log = context.start("")?.error_log()?;
        ensure!(!log.contains(WARNING), "{log}");
        return Ok(());
    }
    let httpd = debian_root(context, "")?.start()?;
    let line = httpd.wait_for_log(WARNING, PATIENCE)?;
    for text in [
        "[websocket:warn]",
        "about 450 WebSockets (6 processes with 25 threads",
        "For 10000: 'AsyncRequestWorkerFactor 74'",
    ] {
        ensure!(line.contains(text), "no `{text}`: {line}");
    }
    let log = httpd.error_log()?;
    ensure!(log.matches(WARNING).count() == 1, "{log}");
    for quiet in [
        debian_root(context, "AsyncRequestWorkerFactor 2")?,
        // No plugin is set.
        context.root()?.without_sizing().config(DEBIAN),
    ] {
        let log = quiet.start()?.error_log()?;
        ensure!(!log.contains(WARNING), "{log}");
    }
    Ok(())
}

/// The numbers in the rows of the table in `docs/src/sizing.md`.
fn rows() -> Result<Vec<[u64; 4]>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/sizing.md");
    let page = std::fs::read_to_string(path)?;
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with("| WebSockets |"));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().parse());
        let cells: Vec<u64> = cells.collect::<Result<_, _>>()?;
        cells
            .try_into()
            .ok()
            .with_context(|| format!("not four numbers: {line}"))
    };
    rows.map(row).collect()
}

fn book(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let rows = rows()?;
    ensure!(rows.len() >= 3, "{rows:?}");
    for [sockets, factor, spare, files] in rows {
        // The clients answer no pings, and on a busy machine they are silent for long.
        let config = format!(
            "AsyncRequestWorkerFactor {factor}\nMaxSpareThreads {spare}\nWebSocketPingInterval Off"
        );
        let httpd = debian_root(context, &config)?.start()?;
        limit(&httpd, files)?;
        let mut clients = Vec::new();
        for number in 0..sockets {
            let client = Client::open(httpd.address(), &Handshake::to("/echo"));
            let row = || format!("{number} of {sockets}");
            clients.push(client.with_context(row)?);
        }
        get_pages(&httpd, 10)?;
        for client in &mut clients {
            client.echo("still here")?;
        }
    }
    Ok(())
}
