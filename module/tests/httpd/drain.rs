//! `WebSocketDrainTime` and `WebSocketDrainRate`: how connections of a process that is ending are
//! closed.

pub(crate) mod restarts;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, Sizing};

use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::spread::open_in_two_children;
use crate::support::{
    Client, Context, Driver, Frame, Handshake, Opcode, await_gone, cases, wait_until,
};

cases! {
    "WebSocketDrainTime: an old child closes its connections with 1012 in the last part of it"
        => last_part,
    "WebSocketDrainTime holds for its section, and 0 closes at once" => sections,
    "WebSocketDrainTime Unlimited keeps connections" => unlimited,
    "WebSocketDrainRate limits how many connections are closed in a second" => rate,
    "a graceful stop closes connections with 1001 within GracefulShutdownTimeout" => stop_limit,
    "a graceful stop also ends what survived a graceful restart" => stop_after_restart,
    "a hard restart ends what survived a graceful restart, with 1012 and at once" => hard_restart,
    "WebSocketDetach: a hard restart ends what survived a graceful restart"
        => detached_hard_restart,
    "timers, threads and blocked callbacks of an old child go on" => goes_on,
    "a child that httpd retires keeps its connections for WebSocketDrainTime" => retired,
    "old children close connections early when there is no place left for new ones" => hurry,
    "WebSocketDetach: an old child lives for its connections and closes them as others" => detached,
}

/// Additional time for what has to happen in time, because of other tests.
const NOISE: Duration = Duration::from_secs(3);

/// Whether threads serve connections. A process of prefork that serves one just ends when it is
/// told to.
fn is_threaded(context: &Context) -> bool {
    context.mpm != Mpm::Prefork
}

fn open(httpd: &Httpd, target: &str) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to(target))
}

fn open_many(httpd: &Httpd, target: &str, count: usize) -> Result<Vec<Client>> {
    (0..count)
        .map(|_| {
            let mut client = open(httpd, target)?;
            client.echo("hello")?;
            Ok(client)
        })
        .collect()
}

/// Waits until the server closes each connection with `code`, and answers. Returns when that was,
/// in order.
fn closings(clients: Vec<Client>, code: u16) -> Result<Vec<Instant>> {
    let wait = move |mut client: Client| -> Result<Instant> {
        client.expect(&Frame::close(code))?;
        let at = Instant::now();
        // A server that stops at once does not wait for the answer.
        let _ = client.send(masked(Opcode::CLOSE, code.to_be_bytes()));
        client.expect_end()?;
        Ok(at)
    };
    let waits: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || wait(client)))
        .collect();
    let closed = waits
        .into_iter()
        .map(|wait| wait.join().expect("it does not panic"));
    let mut closed = closed.collect::<Result<Vec<_>>>()?;
    closed.sort_unstable();
    Ok(closed)
}

fn last_part(context: &Context) -> Result<()> {
    check_last_part(context, &context.start("WebSocketDrainTime 5s")?, "/echo")
}

fn check_last_part(context: &Context, httpd: &Httpd, target: &str) -> Result<()> {
    const TIME: Duration = Duration::from_secs(5);
    const COUNT: usize = 20;
    if !is_threaded(context) {
        return Ok(());
    }
    let clients = open_many(httpd, target, COUNT)?;
    let old = httpd.child_pids()?;
    let started = Instant::now();
    httpd.graceful()?;
    // The child may be told later than that, but not before `started`.
    let told = Instant::now();
    let closed = closings(clients, 1012)?;
    let (first, last) = (closed[0], closed[COUNT - 1]);
    ensure!(
        first - started >= TIME * 4 / 5,
        "the first after {:?}",
        first - started
    );
    ensure!(
        last < told + TIME + NOISE,
        "the last after {:?}",
        last - told
    );
    // They are spread over a second.
    ensure!(last - first >= TIME / 10, "all within {:?}", last - first);
    await_gone(httpd, &old)?;
    open(httpd, target)?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn detached(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let location = context.plugins().rust_location("/hermit", "hermit");
    let root = context.root()?.config(location);
    let httpd = root
        .config("WebSocketDetach On\nWebSocketDrainTime 5s")
        .start()?;
    check_last_part(context, &httpd, "/hermit")
}

fn sections(context: &Context) -> Result<()> {
    if !is_threaded(context) {
        return Ok(());
    }
    let plugins = context.plugins();
    let httpd = context
        .root()?
        .config("WebSocketDrainTime 0")
        .config(plugins.location("/inherits", "echo", ""))
        .config(plugins.location("/keeps", "echo", "WebSocketDrainTime 1h"))
        .start()?;
    let mut kept = open_many(&httpd, "/keeps", 1)?;
    let inherits = open_many(&httpd, "/inherits", 2)?;
    httpd.graceful()?;
    let restarted = Instant::now();
    let closed = closings(inherits, 1012)?;
    ensure!(closed[1] < restarted + NOISE);
    kept[0].echo("still here")?;
    ensure_healthy(&httpd.error_log()?)
}

fn unlimited(context: &Context) -> Result<()> {
    let location = context
        .plugins()
        .location("/soon", "echo", "WebSocketDrainTime 1s");
    let httpd = context.start(&format!("WebSocketDrainTime unlimited\n{location}"))?;
    let mut kept = open_many(&httpd, "/echo", 1)?;
    let soon = open_many(&httpd, "/soon", 1)?;
    httpd.graceful()?;
    if is_threaded(context) {
        closings(soon, 1012)?;
    }
    kept[0].echo("still here")?;
    ensure_healthy(&httpd.error_log()?)
}

fn rate(context: &Context) -> Result<()> {
    const COUNT: usize = 30;
    const RATE: u32 = 10;
    if !is_threaded(context) {
        return Ok(());
    }
    let httpd = context.start_small(
        64,
        &format!("WebSocketDrainTime 1s\nWebSocketDrainRate {RATE}"),
    )?;
    let clients = open_many(&httpd, "/echo", COUNT)?;
    httpd.graceful()?;
    let closed = closings(clients, 1012)?;
    let most = RATE as usize + 2;
    for (first, last) in closed.iter().zip(&closed[most..]) {
        // Both ends are seen late by different times.
        let took = *last - *first;
        ensure!(
            took >= Duration::from_millis(900),
            "{most} closed within {took:?}"
        );
    }
    ensure_healthy(&httpd.error_log()?)
}

fn stop_limit(context: &Context) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(6);
    if !is_threaded(context) {
        return Ok(());
    }
    let mut httpd = context.start(&format!("GracefulShutdownTimeout {}", LIMIT.as_secs()))?;
    let clients = open_many(&httpd, "/echo", 10)?;
    httpd.graceful_stop()?;
    let stopped = Instant::now();
    let closed = closings(clients, 1001)?;
    let first = closed[0] - stopped;
    ensure!(first > LIMIT / 3, "the first after {first:?}");
    ensure!(httpd.wait(LIMIT + NOISE)?.success());
    ensure_healthy(&std::fs::read_to_string(httpd.root().error_log())?)
}

fn stop_after_restart(context: &Context) -> Result<()> {
    if !is_threaded(context) {
        return Ok(());
    }
    let mut httpd = context.start("GracefulShutdownTimeout 6")?;
    let mut old = open_many(&httpd, "/echo", 2)?;
    httpd.graceful()?;
    for client in &mut old {
        client.echo("still here")?;
    }
    httpd.graceful_stop()?;
    closings(old, 1001)?;
    ensure!(httpd.wait(Duration::from_secs(6) + NOISE)?.success());
    ensure_healthy(&std::fs::read_to_string(httpd.root().error_log())?)
}

fn hard_restart(context: &Context) -> Result<()> {
    if !is_threaded(context) {
        return Ok(());
    }
    check_hard_restart(&context.start("")?, "/echo")
}

fn detached_hard_restart(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let location = context.plugins().rust_location("/hermit", "hermit");
    let root = context.root()?.config(location);
    check_hard_restart(&root.config("WebSocketDetach On").start()?, "/hermit")
}

fn check_hard_restart(httpd: &Httpd, target: &str) -> Result<()> {
    let mut clients = open_many(httpd, target, 2)?;
    httpd.graceful()?;
    clients.extend(open_many(httpd, target, 2)?);
    for client in &mut clients {
        // A connection that is still being handed over would end with its thread.
        for _ in 0..50 {
            client.echo("still here")?;
        }
    }
    httpd.restart()?;
    closings(clients, 1012)?;
    // No child had to be told twice.
    ensure_healthy(&httpd.error_log()?)
}

fn goes_on(context: &Context) -> Result<()> {
    let directives = "WebSocketPingInterval 300ms\nWebSocketPingTimeout 4s";
    let pinged = context.plugins().location("/pinged", "echo", directives);
    let httpd = context.start(&pinged)?;
    let mut silent = open(&httpd, "/pinged")?;
    let mut late = open(&httpd, "/late")?;
    let handshake = Handshake::to("/stuck").header("X-Before", "1");
    let mut stuck = Client::open(httpd.address(), &handshake)?;
    httpd.graceful()?;
    // More than can have come before.
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut messages = 0;
    while messages < 10 || Instant::now() < deadline {
        let frame = late.frame().context("a message of a thread")?;
        ensure!(frame.first_byte == Opcode::TEXT, "{frame:?}");
        messages += 1;
    }
    stuck.text("block")?;
    let before = stuck
        .frame()
        .context("what a callback sends before it blocks")?;
    ensure!(before.first_byte == Opcode::BINARY, "{before:?}");
    for number in 0..2 {
        let ping = silent.frame().with_context(|| format!("ping {number}"))?;
        ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
        silent.send(masked(Opcode::PONG, &ping.payload))?;
    }
    silent.echo("still here")?;
    ensure_healthy(&httpd.error_log()?)
}

fn retired(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    // Three children with four idle threads each, where six may be idle.
    let sizing = Sizing {
        processes: 4,
        threads: 4,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(context.plugins().locations())
        .config("StartServers 3\nMaxSpareThreads 6\nWebSocketDrainTime 8s")
        .config("LogLevel websocket:info")
        .start()?;
    // At most one of the two stays.
    let (mut clients, _) = open_in_two_children(&httpd, "/echo")?;
    let count = clients.len();
    httpd.wait_for_log("WebSockets stay open for now", crate::support::PATIENCE)?;
    for client in &mut clients {
        client.echo("still here")?;
    }
    // The last child stays, with its connections. Reading tells which these are.
    wait_until("one child is left", || Ok(httpd.child_pids()?.len() == 1))?;
    let mut left = 0;
    for mut client in clients {
        client.text("are you still here?")?;
        match client.frame()? {
            frame if frame == Frame::close(1012) => client.expect_end()?,
            frame => {
                ensure!(frame == Frame::text("are you still here?"), "{frame:?}");
                left += 1;
            }
        }
    }
    ensure!(left < count, "no child with connections was retired");
    let warning = "MaxSpareThreads 6 (set it to MaxRequestWorkers, 16)";
    ensure!(httpd.error_log()?.contains(warning));
    ensure_healthy(&httpd.error_log()?)
}

fn hurry(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let sizing = Sizing {
        processes: 1,
        threads: 4,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(context.plugins().locations())
        .config("ServerLimit 3")
        .start()?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.extend(open_many(&httpd, "/echo", 1)?);
        httpd.graceful()?;
    }
    // Three old children had all the places.
    let oldest = clients.remove(0);
    closings(vec![oldest], 1012)?;
    for client in &mut clients {
        client.echo("still here")?;
    }
    open(&httpd, "/echo")?.close()?;
    let log = httpd.error_log()?;
    let line = log.lines().find(|line| line.contains("no place left"));
    let line = line.context("the log does not say why")?;
    ensure!(
        line.contains(":warn]") && line.contains("ServerLimit"),
        "{line}"
    );
    ensure!(log.matches("no place left").count() == 1, "{log}");
    ensure_healthy(&log)
}
