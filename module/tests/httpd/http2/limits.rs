//! The resources that WebSockets over HTTP/2 leave to other requests.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use xtask::httpd::Httpd;
use xtask::server_root::Sizing;

use super::{connect, root};
use crate::status::Counters;
use crate::support::http2::{Http2, Http2Stream};
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, cases, wait_until};

cases! {
    "HTTP/2: a client's ordinary requests are answered, whichever streams it resets" => resets,
    "HTTP/2: a tenth of a process's threads is not available to WebSockets" => last_threads,
    "HTTP/2: a tenth of mod_http2's threads is not available to WebSockets" => last_workers,
}

/// The interval at which mod_http2 checks how many streams a client has reset. There is no event to
/// wait for.
const MOOD: Duration = Duration::from_millis(150);

/// The client's action before each WebSocket that it resets.
type Before = fn(&Http2) -> Result<()>;

fn resets(context: &Context) -> Result<()> {
    let httpd = root(context)?.start()?;
    let nothing: Before = |_| Ok(());
    let answered: Before = |http2| {
        ensure!(http2.get("/server-status")? == StatusCode::OK);
        Ok(())
    };
    let given_up: Before = |http2| http2.get_and_reset("/server-status");
    for (name, rounds, before) in [
        ("nothing before", 2, nothing),
        ("an answered request before", 3, answered),
        ("a request that is reset before", 3, given_up),
    ] {
        let http2 = connect(&httpd)?;
        let mut kept = Vec::new();
        while let (true, Some(client)) = (kept.len() < 2, open_or_refused(&http2)?) {
            kept.push(client);
        }
        for _ in 0..rounds {
            before(&http2)?;
            if let Some(mut client) = open_or_refused(&http2)? {
                client.echo("hello")?;
                std::thread::sleep(MOOD);
                client.stream.reset();
            } else {
                std::thread::sleep(MOOD);
            }
        }
        let answer = http2.get("/server-status").context(name)?;
        ensure!(answer == StatusCode::OK, "{name}: {answer}");
        for client in &mut kept {
            client.echo("still here")?;
        }
    }
    // The client may have one WebSocket, which it resets again and again.
    let http2 = connect(&httpd)?;
    for _ in 0..4 {
        let mut client = open(&http2)?;
        client.echo("hello")?;
        std::thread::sleep(MOOD);
        client.stream.reset();
    }
    let mut last = open(&http2)?;
    ensure!(http2.get("/server-status")? == StatusCode::OK);
    last.echo("hello")?;
    ensure_healthy(&httpd.error_log()?)
}

/// The number of threads, and of those that WebSockets may use.
const THREADS: u32 = 20;
const MOST: usize = 18;

fn last_threads(context: &Context) -> Result<()> {
    let httpd = start_small(context, "H2MaxWorkers 60")?;
    let mut open = fill(&httpd, MOST)?;
    // The other kinds of requests still work: a request over HTTP/1.1, a WebSocket over HTTP/1.1, a
    // request over HTTP/2.
    ensure!(Counters::ask(&httpd)?.with_thread == MOST as u64);
    Client::open(httpd.address(), &Handshake::to("/echo"))?.echo("hello")?;
    for (http2, client) in &mut open {
        client.echo("hello")?;
        ensure!(http2.get("/server-status")? == StatusCode::OK);
    }
    let (_, first) = open.swap_remove(0);
    first.close()?;
    let other = connect(&httpd)?;
    self::open(&other)?.echo("in its place")?;
    ensure_healthy(&httpd.error_log()?)
}

fn last_workers(context: &Context) -> Result<()> {
    let httpd = start_small(context, "H2MinWorkers 1\nH2MaxWorkers 10")?;
    let open = fill(&httpd, 9)?;
    ensure!(connect(&httpd)?.get("/server-status")? == StatusCode::OK);
    drop(open);
    ensure_healthy(&httpd.error_log()?)
}

/// A server with one process.
pub(crate) fn start_small(context: &Context, config: &str) -> Result<Httpd> {
    let sizing = Sizing {
        processes: 1,
        threads: THREADS,
    };
    root(context)?.sizing(sizing).config(config).start()
}

/// Opens WebSockets on separate connections until one is refused, which must happen after `most`.
fn fill(httpd: &Httpd, most: usize) -> Result<Vec<(Http2, Client<Http2Stream>)>> {
    let mut open = Vec::new();
    loop {
        let http2 = connect(httpd)?;
        let answer = http2.ask(&Handshake::to("/echo"))?;
        if answer.response.status == StatusCode::SERVICE_UNAVAILABLE {
            let later = answer.response.headers.get("Retry-After");
            ensure!(later.is_some_and(|later| later == "10"), "{later:?}");
            ensure!(open.len() == most, "the {}th is refused", open.len() + 1);
            return Ok(open);
        }
        ensure!(answer.response.status == StatusCode::OK);
        open.push((http2, answer.client));
        ensure!(open.len() <= most, "too many are accepted");
    }
}

/// A WebSocket, or `None` if it is refused for now.
fn open_or_refused(http2: &Http2) -> Result<Option<Client<Http2Stream>>> {
    let answer = http2.ask(&Handshake::to("/echo"))?;
    match answer.response.status {
        StatusCode::OK => Ok(Some(answer.client)),
        StatusCode::SERVICE_UNAVAILABLE => Ok(None),
        status => anyhow::bail!("not opened: {status}"),
    }
}

/// Opens a WebSocket as soon as there is room for it.
fn open(http2: &Http2) -> Result<Client<Http2Stream>> {
    let mut opened = None;
    wait_until("a place is free", || {
        opened = open_or_refused(http2)?;
        Ok(opened.is_some())
    })?;
    opened.context("just waited for")
}
