//! Requests that httpd redirects internally, and that may become a WebSocket.

pub(crate) mod errors;
pub(crate) mod fuzz;
pub(crate) mod hostile;
pub(crate) mod life;
mod site;

use std::io::{Read, Write};

use anyhow::{Context as _, Result, ensure};
use xtask::server_root::Mpm;

use self::site::{HOST_WAYS, Site, WAYS};
use crate::support::frame::masked;
use crate::support::http2::Http2;
use crate::support::{Client, Context, Driver, HTTP2, Handshake, Opcode, cases, wait_until};

cases! {
    "redirects: each kind may lead to a WebSocket" => plain,
    "redirects: TLS: each kind may lead to a WebSocket" => tls,
    "redirects: HTTP/2: each kind may lead to a WebSocket" => http2,
    "redirects: WebSocketDetach: each kind may lead to a WebSocket" => detached,
    "redirects: frames sent right after the request are the first ones" => early_frames,
    "redirects: async plugins: each kind may lead to a WebSocket" => asynchronous,
    "redirects: mod_cache does not interfere" => cache,
    "redirects: a redirect to the name of a folder stays a redirect" => folder,
}

/// The bytes after the 101 response if the client sends [`TALK`]. Nothing follows the close frame.
const ANSWER: &[u8] = b"\x81\x05hello\x88\x02\x03\xe8";

fn talk() -> Vec<u8> {
    let close = masked(Opcode::CLOSE, 1000_u16.to_be_bytes());
    [masked(Opcode::TEXT, "hello"), close].concat()
}

/// Sends a text and a close frame, and compares all bytes until the connection ends.
fn converse<S: Read + Write>(mut client: Client<S>) -> Result<()> {
    client.echo("first")?;
    client.send(talk())?;
    let rest = client.rest()?;
    ensure!(
        rest == ANSWER,
        "{:?} after the echo",
        String::from_utf8_lossy(&rest)
    );
    Ok(())
}

/// A target with a mark that identifies its line in the access log.
fn marked(path: &str, mark: &str) -> Handshake {
    Handshake::to(&format!("{path}?mark={mark}"))
}

/// Checks that each of the marked requests has exactly one line, with `status`.
fn expect_lines(site: &Site, marks: &[String], status: u16) -> Result<()> {
    let is_of = |line: &&str, mark: &str| line.contains(&format!("?mark={mark} "));
    for mark in marks {
        wait_until("the request's line in the access log", || {
            Ok(site.access_log()?.lines().any(|line| is_of(&line, mark)))
        })?;
    }
    // A later line would be before the line of this request.
    site.expect_alive()?;
    let log = site.access_log()?;
    for mark in marks {
        let lines: Vec<_> = log.lines().filter(|line| is_of(line, mark)).collect();
        ensure!(
            lines.len() == 1 && lines[0].contains(&format!("\" {status} ")),
            "{mark}: {lines:#?}"
        );
    }
    Ok(())
}

type Ways = &'static [(&'static str, &'static str)];

fn take(ways: Ways, site: &Site, converse: impl Fn(&Handshake) -> Result<()>) -> Result<()> {
    let mut marks = Vec::new();
    for (way, path) in ways {
        let mark = way.replace(|letter: char| !letter.is_alphanumeric(), "-");
        converse(&marked(path, &mark)).with_context(|| format!("by way of {way} ({path})"))?;
        marks.push(mark);
    }
    expect_lines(site, &marks, 101)
}

fn plain(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    take(WAYS, &site, |handshake| converse(site.open(handshake)?))?;
    take(HOST_WAYS, &site, |handshake| {
        converse(site.open(handshake)?)
    })
}

fn tls(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    take(WAYS, &site, |handshake| {
        converse(Client::open_tls(&site, handshake)?)
    })
}

fn http2(context: &Context) -> Result<()> {
    // mod_http2 does not work in processes with one thread.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    let site = Site::start(context, HTTP2)?;
    for ways in [WAYS, HOST_WAYS] {
        take(ways, &site, |handshake| {
            let http2 = Http2::connect(site.address())?;
            converse(http2.open(handshake)?)?;
            ensure!(http2.get("/page.txt")? == 200);
            Ok(())
        })?;
    }
    Ok(())
}

fn detached(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let site = Site::start_detached(context)?;
    take(WAYS, &site, |handshake| converse(site.open(handshake)?))?;
    for (way, path) in WAYS {
        let client = Client::open_tls(&site, &Handshake::to(path));
        client
            .and_then(converse)
            .with_context(|| format!("over TLS by way of {way}"))?;
    }
    site.expect_alive()
}

fn asynchronous(context: &Context) -> Result<()> {
    for is_detached in [false, true] {
        let site = Site::start_async(context, is_detached)?;
        take(WAYS, &site, |handshake| converse(site.open(handshake)?))?;
        for (way, path) in WAYS {
            let client = Client::open_tls(&site, &Handshake::to(path));
            client
                .and_then(converse)
                .with_context(|| format!("over TLS by way of {way}"))?;
            let mut client = Client::connect(site.address())?;
            let early = masked(Opcode::TEXT, "early");
            client.send([Handshake::to(path).to_bytes(), early].concat())?;
            ensure!(client.response()?.status == 101);
            let echo = client.expect_text("early");
            echo.with_context(|| format!("early, by way of {way}"))?;
            client.close()?;
        }
        site.expect_alive()?;
    }
    Ok(())
}

fn early_frames(context: &Context) -> Result<()> {
    let mut sites = vec![Site::start(context, "")?];
    if context.driver == Driver::Event {
        sites.push(Site::start_detached(context)?);
    }
    for site in sites {
        for (way, path) in WAYS.iter().chain(HOST_WAYS) {
            let mut client = Client::connect(site.address())?;
            client.send([Handshake::to(path).to_bytes(), talk()].concat())?;
            let response = client.response()?;
            let rest = client.rest()?;
            ensure!(
                response.status == 101 && rest == ANSWER,
                "{way}: {response:?}, {:?}",
                String::from_utf8_lossy(&rest)
            );
        }
        site.expect_alive()?;
    }
    Ok(())
}

fn cache(context: &Context) -> Result<()> {
    for quick in ["On", "Off"] {
        let config = format!(
            "CacheRoot cache\nCacheEnable disk /\nCacheQuickHandler {quick}\nCacheDefaultExpire 100"
        );
        let site = Site::start_with(context, &["cache", "cache_disk"], &config)?;
        take(WAYS, &site, |handshake| converse(site.open(handshake)?))
            .with_context(|| format!("CacheQuickHandler {quick}"))?;
    }
    Ok(())
}

fn folder(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    let response = Client::ask(site.address(), &Handshake::to("/index"))?;
    ensure!(response.status == 301, "{response:?}");
    let location = response.header("Location").unwrap_or_default();
    ensure!(location.ends_with("/index/"), "{response:?}");
    site.expect_alive()
}
