//! Connections of Rust plugins from the first to the last moment.

use anyhow::{Result, bail, ensure};
use xtask::server_root::Mpm;

use super::{ANY_PLUGIN, ask, handler, location, open, site, write_site};
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Handshake, PATIENCE, cases, wait_until};

cases! {
    "Rust plugins: a thousand finished connections leave nothing" => nothing_left,
    "Rust plugins survive graceful restarts" => restarts,
    "a child ends within httpd's time, whatever is stuck in it" => stuck_everywhere,
    "Rust plugins may be named in .htaccess files" => htaccess,
    "a Rust plugin that was built before the table had events echoes" => old_binary,
}

fn nothing_left(context: &Context) -> Result<()> {
    // On prefork each process counts separately, and fewer connections suffice.
    let connections = if context.mpm == Mpm::Prefork {
        50
    } else {
        1000
    };
    let httpd = context.start_small(8, &location(context, "/census", "census", ""))?;
    for number in 0..connections {
        let client = open(&httpd, "/census")?;
        match number % 3 {
            0 => client.close()?,
            1 => client.reset()?,
            _ => drop(client),
        }
    }
    let mut asker = open(&httpd, "/census?asks")?;
    wait_until("all others are dropped", || {
        asker.text("count")?;
        let answer = asker.next_text()?;
        let numbers: Vec<u64> = answer
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [made, dropped, kept, closed] = numbers[..] else {
            bail!("what is {answer}?");
        };
        let is_whole = context.mpm == Mpm::Prefork || kept == connections;
        ensure!(is_whole, "{kept} senders kept");
        Ok(dropped == made - 1 && closed == kept)
    })
}

fn stuck_everywhere(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let ticks = ["interval 20", "everywhere yes", "trouble stuck"]
        .map(|option| format!("WebSocketPluginOption {option}\n"));
    let locations = [
        location(context, "/ticks", "metronome", &ticks.concat()),
        location(context, "/sleep", "metronome", "WebSocketEventDriven Off"),
        location(context, "/waiter", "waiter", ""),
    ];
    let httpd = context.start_small(8, &locations.concat())?;
    // A callback on a thread of the MPM, which waits for it, and one on a loop's.
    let mut sleeping = open(&httpd, "/sleep")?;
    sleeping.text("sleep 4000")?;
    // All clients hear of the ticks until one is stuck.
    while sleeping.next_text()? != "sleep 4000" {}
    let handshake = Handshake::to("/stuck").header("X-Before", "1");
    let mut stuck = Client::open(httpd.address(), &handshake)?;
    stuck.text("x")?;
    stuck.frame()?;
    // An on_disconnect that never completes, and a tick.
    let mut waiting = open(&httpd, "/waiter")?;
    waiting.echo("never")?;
    waiting.close()?;
    httpd.wait_for_log("a tick is stuck", PATIENCE)?;
    httpd.restart()?;
    // The parent starts a new child when all old ones have ended.
    wait_until("a child answers", || {
        Ok(open(&httpd, "/waiter").is_ok_and(|mut client| client.echo("hello").is_ok()))
    })?;
    let log = httpd.error_log()?;
    for line in [
        "a callback of a plugin is stuck",
        "a tick of the plugin Metronome does not return",
        "[Waiter] the callbacks of 1 connections have not completed",
    ] {
        ensure!(log.contains(line), "{line}: {log}");
    }
    ensure!(!log.contains("sending a SIGKILL"), "{log}");
    Ok(())
}

fn old_binary(context: &Context) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(());
    }
    let plugins = context.plugins();
    let handler = plugins.handler_with("rust/echo_before_events", "echo_init");
    let config = format!("<Location /old>\nSetHandler websocket-handler\n{handler}\n</Location>");
    let httpd = context.start(&config)?;
    let mut client = open(&httpd, "/old")?;
    client.echo("text")?;
    client.close()?;
    httpd.graceful()?;
    let echoes = || open(&httpd, "/old")?.echo("of the new child");
    // A child that is about to end may still accept a connection.
    wait_until("a child answers", || Ok(echoes().is_ok()))?;
    ensure_healthy(&httpd.error_log()?)
}

fn restarts(context: &Context) -> Result<()> {
    let config = location(context, "/rust", "echo", "")
        + &location(
            context,
            "/settings",
            "settings",
            "WebSocketPluginOption a b",
        );
    let httpd = context.root()?.config(config).start()?;
    let ask = || {
        open(&httpd, "/rust")?.echo("hello")?;
        open(&httpd, "/settings")?.expect_text("a=b")
    };
    // A child that is about to end may still accept a connection.
    let answers = || wait_until("a child answers", || Ok(ask().is_ok()));
    for _ in 0..3 {
        answers()?;
        httpd.graceful()?;
    }
    answers()?;
    ensure_healthy(&httpd.error_log()?)?;
    ensure!(httpd.stop()?.success());
    Ok(())
}

/// Loaded for a request, and unloaded after it.
fn htaccess(context: &Context) -> Result<()> {
    let root = context.root()?;
    let folder = root.dir().join("site");
    let rules = format!(
        "SetHandler websocket-handler\n{}\nWebSocketPluginOption",
        handler(context, "settings")
    );
    write_site(&folder, &format!("{rules} a b"))?;
    let httpd = root
        .stock_module("alias")
        .config(ANY_PLUGIN)
        .config(site(&folder, ""))
        .start()?;
    for _ in 0..10 {
        let mut clients = [open(&httpd, "/site/room")?, open(&httpd, "/site/room")?];
        for client in &mut clients {
            client.expect_text("a=b")?;
        }
        let [first, mut second] = clients;
        first.close()?;
        ask(&mut second, "again", "a=b")?;
    }
    write_site(&folder, &format!("{rules} mood bad"))?;
    let response = Client::ask(httpd.address(), &Handshake::to("/site/room"))?;
    ensure!(response.status == 500, "{response:?}");
    httpd.wait_for_log("there are no moods here", PATIENCE)?;
    ensure_healthy(&httpd.error_log()?)
}
