//! The life and end of redirected connections, and their requests as plugins see them.

use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use xtask::server_root::Mpm;

use super::site::Site;
use super::{converse, expect_lines, marked};
use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Handshake, Opcode, cases};

cases! {
    "redirects: a child serves many of them, in sequence and at once" => many,
    "redirects: a plugin may use the request of its handshake" => request,
    "redirects: clients that leave around the 101 response are survived" => lost_clients,
    "redirects: a hard restart closes with 1012" => restart,
}

fn many(context: &Context) -> Result<()> {
    const COUNT: usize = 50;
    let site = Site::start(context, "")?;
    let mut marks = Vec::new();
    for number in 0..COUNT {
        let mark = number.to_string();
        converse(site.open(&marked("/rewritten/socket", &mark))?)
            .with_context(|| format!("the connection number {number}"))?;
        marks.push(mark);
    }
    expect_lines(&site, &marks, 101)?;
    // On prefork each connection takes a process.
    let at_a_time = if context.mpm == Mpm::Prefork { 4 } else { 20 };
    let clients = (0..at_a_time).map(|_| site.open(&Handshake::to("/htaccess/socket")));
    let clients = clients.collect::<Result<Vec<_>>>()?;
    clients.into_iter().rev().try_for_each(converse)?;
    site.expect_alive()
}

fn request(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    let mut client = site.open(&Handshake::to("/rewritten/detour"))?;
    client.text("uri")?;
    client.expect_text("/detour/plugin?inner=yes, redirected from /rewritten/detour")?;
    converse(client)?;
    // A thread of the plugin uses the request and its memory until `on_disconnect`.
    for path in ["/rewritten/request", "/cgi/request"] {
        let journal = Journal::new(context)?;
        let mut client = site.open(&journal.handshake(path))?;
        client.echo("start")?;
        for number in 0..50 {
            client.echo(&number.to_string())?;
        }
        client.close()?;
        journal.wait_for("cleaned")?;
        ensure!(journal.count("wrong")? == 0, "{:?}", journal.lines()?);
        ensure!(journal.count("disconnect")? == 1, "{:?}", journal.lines()?);
    }
    site.expect_alive()
}

fn lost_clients(context: &Context) -> Result<()> {
    type End = fn(Client<TcpStream>) -> Result<()>;
    let ends: [End; 4] = [
        Client::reset,
        |client| client.half_close(),
        |mut client| client.response().and_then(|_| client.reset()),
        |mut client| {
            client.response()?;
            client.send(masked(Opcode::TEXT, "hello"))?;
            client.reset()
        },
    ];
    let mut sites = vec![Site::start(context, "")?];
    if context.driver == Driver::Event {
        sites.push(Site::start_detached(context)?);
    }
    for site in sites {
        for path in ["/rewritten/socket", "/cgi/socket", "/action"] {
            for end in ends.iter().cycle().take(24) {
                let mut client = Client::connect(site.address())?;
                client.send(Handshake::to(path).to_bytes())?;
                end(client)?;
            }
        }
        converse(site.open(&Handshake::to("/rewritten/socket"))?)?;
        site.expect_alive()?;
    }
    Ok(())
}

fn restart(context: &Context) -> Result<()> {
    // A process that serves one connection just ends.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    let site = Site::start(context, "")?;
    let open = |path: &&str| {
        let mut client = site.open(&Handshake::to(path))?;
        for _ in 0..50 {
            client.echo("hello")?;
        }
        Ok(client)
    };
    let paths = [
        "/rewritten/socket",
        "/rewritten/twice",
        "/cgi/socket",
        "/action",
    ];
    let clients = paths.iter().map(open).collect::<Result<Vec<_>>>()?;
    site.restart()?;
    for mut client in clients {
        client.expect_close(1012)?;
    }
    converse(site.open(&Handshake::to("/rewritten/socket"))?)?;
    ensure_healthy(&site.error_log()?)
}
