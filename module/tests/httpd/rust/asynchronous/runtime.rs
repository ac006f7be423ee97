//! The threads of the runtime.

use anyhow::{Context as _, Result, ensure};
use xtask::server_root::Mpm;

use super::backend::Backend;
use super::{runtime_statuses, start};
use crate::rust::{ANY_PLUGIN, ask, handler, location, open, site, write_site};
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, PATIENCE, cases, wait_until};

cases! {
    "async plugins: threads of the runtime take no signals" => signals,
    "async plugins: a handshake fails if the runtime can have no thread" => no_thread,
    "async plugins may be named in .htaccess files" => htaccess,
}

fn signals(context: &Context) -> Result<()> {
    /// SIGTERM, SIGUSR1, SIGHUP and SIGWINCH, which httpd uses.
    const USED: u64 = (1 << 14) | (1 << 9) | 1 | (1 << 27);
    let httpd = start(context)?;
    let mut client = open(&httpd, "/waiter")?;
    client.echo("hello")?;
    // A thread has its name only when it has run for a moment.
    let mut statuses = Vec::new();
    wait_until("both threads of the runtime run", || {
        statuses = runtime_statuses(&httpd)?;
        Ok(statuses.len() == 2)
    })?;
    for (_, status) in statuses {
        let blocked = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:\t"));
        let blocked = u64::from_str_radix(blocked.context("no signals")?, 16)?;
        ensure!(blocked & USED == USED, "{status}");
    }
    client.close()
}

fn no_thread(context: &Context) -> Result<()> {
    let plugins = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/miser", "miser", ""),
    ];
    // One child of the prefork MPM serves everything, one client after the other.
    let threads = if context.mpm == Mpm::Prefork { 1 } else { 8 };
    let httpd = context.start_small(threads, &plugins.concat())?;
    let tell = |command| {
        let mut client = open(&httpd, "/miser")?;
        client.echo(command)?;
        client.close()
    };
    // From then on the child has all threads that the module needs.
    tell("limit")?;
    let response = Client::ask(httpd.address(), &Handshake::to("/waiter"))?;
    ensure!([500, 503].contains(&response.status), "{response:?}");
    let line = if context.mpm == Mpm::Prefork {
        "the connection cannot be served: "
    } else {
        "the runtime cannot be started: the process can have no more threads"
    };
    httpd.wait_for_log(line, PATIENCE)?;
    tell("lift")?;
    open(&httpd, "/waiter")?.echo("now it works")?;
    ensure!(!httpd.error_log()?.contains("exit signal"));
    Ok(())
}

/// Loaded for a request, and unloaded after it.
fn htaccess(context: &Context) -> Result<()> {
    let root = context.root()?;
    let folder = root.dir().join("site");
    let rules = format!(
        "SetHandler websocket-handler\n{}",
        handler(context, "waiter")
    );
    write_site(&folder, &rules)?;
    let httpd = root
        .stock_module("alias")
        .config(ANY_PLUGIN)
        .config(site(&folder, ""))
        .start()?;
    let backend = Backend::new()?;
    for _ in 0..10 {
        let mut clients = [open(&httpd, "/site/room")?, open(&httpd, "/site/room")?];
        for client in &mut clients {
            client.text(format!("ask {} something", backend.port()?))?;
            backend.question()?.answer("answer")?;
            client.expect_text("answer")?;
        }
        let [first, mut second] = clients;
        first.close()?;
        ask(&mut second, "again", "again")?;
    }
    ensure_healthy(&httpd.error_log()?)
}
