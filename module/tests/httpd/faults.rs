//! What goes wrong around open connections, and leaves them alone.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, Sizing};

use crate::deflate::memory::is_answered;
use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::spread::open_in_two_children;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases, wait_until};

cases! {
    "a killed child takes its own connections with it and no others" => killed_child,
    "a restart without a plugin's library is refused and the old configuration goes on"
        => missing_library,
    "a plugin that was replaced serves new connections, and the old one the old ones"
        => replaced_library,
    "connections live on when httpd is restarted ten times a second" => ten_a_second,
    "full disks under the logs do connections no harm" => full_disk,
    "while memory is short handshakes and messages are served or refused, and the process lives"
        => short_memory,
    "jumps of the time of day neither close connections nor hold up timers" => clock_jumps,
}

fn open(httpd: &Httpd, target: &str) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to(target))
}

fn kill(child: u32) -> Result<()> {
    let pid = Pid::from_raw(child.try_into()?).context("no process has the number 0")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// A client that echoes until told to end. Returns whether its connection was still open.
fn talk(mut client: Client, is_over: &AtomicBool) -> bool {
    while !is_over.load(Ordering::Relaxed) {
        if client.echo("hello").is_err() {
            return false;
        }
    }
    true
}

fn killed_child(context: &Context) -> Result<()> {
    let sizing = Sizing {
        processes: 3,
        threads: 16,
    };
    let children = if context.mpm == Mpm::Prefork {
        "StartServers 2\nMinSpareServers 2"
    } else {
        "StartServers 2\nMinSpareThreads 20"
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(context.plugins().locations())
        .config(children)
        .start()?;
    let (clients, used) = open_in_two_children(&httpd, "/echo")?;
    let is_over = AtomicBool::new(false);
    let (lost, kept) = thread::scope(|scope| {
        let is_over = &is_over;
        let talkers: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || talk(client, is_over)))
            .collect();
        let killed = kill(used[0]).and_then(|()| {
            wait_until("its connections are lost", || {
                Ok(talkers.iter().any(ScopedJoinHandle::is_finished))
            })?;
            wait_until("others are served", || {
                Ok(open(&httpd, "/echo").and_then(Client::close).is_ok())
            })?;
            wait_until("another child comes", || {
                let others = httpd.child_pids()?;
                Ok(others.iter().filter(|child| **child != used[0]).count() >= 2)
            })
        });
        is_over.store(true, Ordering::Relaxed);
        let open = talkers
            .into_iter()
            .map(|talker| talker.join().expect("it does not panic"));
        let (kept, lost): (Vec<_>, Vec<_>) = open.partition(|is_open| *is_open);
        killed.map(|()| (lost.len(), kept.len()))
    })?;
    ensure!(lost > 0 && kept > 0, "{lost} lost, {kept} kept");
    open(&httpd, "/echo")?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

/// A copy of a plugin that may be removed and replaced, and its location.
fn copied_plugin(context: &Context, folder: &TempDir, name: &str) -> Result<String> {
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let library = folder.path().join("plugin.so");
    fs::copy(context.plugins().library(name), &library)?;
    Ok(format!(
        "<Location /copy>\nSetHandler websocket-handler\n\
         WebSocketHandler \"{}\" twin_init\n</Location>\n",
        library.display()
    ))
}

fn ask(client: &mut Client, answer: &str) -> Result<()> {
    client.text("who are you")?;
    client.expect_text(answer)
}

fn missing_library(context: &Context) -> Result<()> {
    let folder = TempDir::new()?;
    let location = copied_plugin(context, &folder, "twin_a")?;
    let httpd = context.root()?.config(location).start()?;
    let mut old = open(&httpd, "/copy")?;
    ask(&mut old, "a")?;
    let library = folder.path().join("plugin.so");
    let aside = folder.path().join("aside.so");
    fs::rename(&library, &aside)?;
    let refusal = httpd.ask_for_graceful()?;
    ensure!(!refusal.ok, "{refusal:?}");
    for words in ["plugin.so", "No such file"] {
        ensure!(refusal.message.contains(words), "{refusal:?}");
    }
    ask(&mut old, "a")?;
    let mut new = open(&httpd, "/copy")?;
    ask(&mut new, "a")?;
    new.close()?;
    fs::rename(&aside, &library)?;
    let served = httpd
        .error_log()?
        .matches("resuming normal operations")
        .count();
    let accepted = httpd.ask_for_graceful()?;
    ensure!(accepted.ok, "{accepted:?}");
    wait_until("httpd has restarted", || {
        let now = httpd
            .error_log()?
            .matches("resuming normal operations")
            .count();
        Ok(now > served)
    })?;
    ask(&mut old, "a")?;
    old.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn replaced_library(context: &Context) -> Result<()> {
    let folder = TempDir::new()?;
    let location = copied_plugin(context, &folder, "twin_a")?;
    let httpd = context.root()?.config(location).start()?;
    let mut old = open(&httpd, "/copy")?;
    ask(&mut old, "a")?;
    let next = folder.path().join("next.so");
    fs::copy(context.plugins().library("twin_b"), &next)?;
    fs::rename(&next, folder.path().join("plugin.so"))?;
    // Not before the restart.
    let mut between = open(&httpd, "/copy")?;
    ask(&mut between, "a")?;
    httpd.graceful()?;
    wait_until("the new plugin answers", || {
        let answer = open(&httpd, "/copy").and_then(|mut new| ask(&mut new, "b"));
        Ok(answer.is_ok())
    })?;
    for mut client in [old, between] {
        ask(&mut client, "a")?;
        client.close()?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn ten_a_second(context: &Context) -> Result<()> {
    const TIMES: u32 = 30;
    const PERIOD: Duration = Duration::from_millis(100);
    const CLIENTS: usize = 8;
    let httpd = context.start("")?;
    let clients = (0..CLIENTS)
        .map(|_| open(&httpd, "/echo"))
        .collect::<Result<Vec<_>>>()?;
    let is_over = AtomicBool::new(false);
    let kept = thread::scope(|scope| {
        let is_over = &is_over;
        let talkers: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || talk(client, is_over)))
            .collect();
        let started = Instant::now();
        let restarted = (1..=TIMES).try_for_each(|number| {
            let next = started + PERIOD * number;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            httpd.signal_graceful()
        });
        let served = restarted.and_then(|()| {
            wait_until("new connections are served", || {
                Ok(open(&httpd, "/echo").and_then(Client::close).is_ok())
            })
        });
        is_over.store(true, Ordering::Relaxed);
        let open = talkers
            .into_iter()
            .map(|talker| talker.join().expect("it does not panic"));
        let kept = open.filter(|is_open| *is_open).count();
        served.map(|()| kept)
    })?;
    ensure!(kept == CLIENTS, "{kept} of {CLIENTS} connections are left");
    wait_until("the old children end", || {
        let most = if context.mpm == Mpm::Prefork { 4 } else { 2 };
        Ok(httpd.child_pids()?.len() <= most)
    })?;
    ensure_healthy(&httpd.error_log()?)
}

fn full_disk(context: &Context) -> Result<()> {
    // The main server keeps its log, which the test needs.
    let host = format!(
        "<VirtualHost *:*>\nServerName localhost\nErrorLog /dev/full\n\
         LogLevel websocket:trace8\nCustomLog /dev/full common\n{}</VirtualHost>\n",
        context.plugins().locations()
    );
    let httpd = context.root()?.config(host).start()?;
    let journal = Journal::new(context)?;
    let mut told = Client::open(httpd.address(), &journal.handshake("/journal"))?;
    told.echo("hello")?;
    for _ in 0..20 {
        let mut client = open(&httpd, "/echo")?;
        client.echo("hello")?;
        client.close()?;
    }
    // Something to log: a broken rule.
    let mut wrong = open(&httpd, "/echo")?;
    wrong.send([0xc1, 0x80, 0, 0, 0, 0])?;
    wrong.expect(&Frame::close(1002))?;
    httpd.graceful()?;
    told.echo("still here")?;
    told.close()?;
    journal.expect_one_disconnect(Duration::from_secs(4))?;
    let log = httpd.error_log()?;
    ensure!(
        !log.contains("WebSocket has ended"),
        "the disk is not full: {log}"
    );
    ensure_healthy(&log)
}

/// Clients hold all the memory that there is; then others come, one after the other.
fn short_memory(context: &Context) -> Result<()> {
    const MORE_KIB: u32 = 24 * 1024;
    const MOST_HOLDERS: usize = 40;
    const LATER: usize = 40;
    if context.mpm == Mpm::Prefork {
        return Ok(()); // each process has one connection
    }
    // Stacks count, and a busy machine would have more threads started.
    let config = "WebSocketMemoryLimit Off\nWebSocketThreads 1 2";
    let httpd = context.start_small(64, config)?;
    let children = httpd.child_pids()?;
    let mut witness = open(&httpd, "/memory")?;
    witness.echo(&format!("limit {MORE_KIB}"))?;
    let whole = masked(Opcode::BINARY, vec![b'm'; 1_500_000]);
    let mut holders = Vec::new();
    while holders.len() < MOST_HOLDERS {
        let mut holder = open(&httpd, "/memory")?;
        // Not the last byte. The server may close the connection before it has taken all.
        let _ = holder.send(&whole[..whole.len() - 1]);
        holders.push(holder);
        if any_answered(&holders)? {
            break;
        }
    }
    wait_until("there is no memory left", || any_answered(&holders))?;
    let (mut served, mut refused) = (0, 0);
    for _ in 0..LATER {
        if !visit(&httpd, &whole)? {
            refused += 1;
            continue;
        }
        served += 1;
        if refused == 0 {
            // Several holders may have been refused at once, and what they had is free.
            let mut holder = open(&httpd, "/memory").context("another holder")?;
            let _ = holder.send(&whole[..whole.len() - 1]);
            holders.push(holder);
        }
    }
    ensure!(
        refused > 0,
        "all {served} were served: memory was not short"
    );
    witness.echo("still here")?;
    drop(holders);
    wait_until("there is memory again", || visit(&httpd, &whole))?;
    witness.close()?;
    ensure!(httpd.child_pids()? == children, "the process has ended");
    ensure_healthy(&httpd.error_log()?)
}

fn any_answered(clients: &[Client]) -> Result<bool> {
    for client in clients {
        if is_answered(client)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a WebSocket and has a long message sent back. Returns whether that worked; if not, the
/// server has refused one of them in a way that clients understand.
fn visit(httpd: &Httpd, message: &[u8]) -> Result<bool> {
    let mut client = Client::connect(httpd.address())?;
    client.send(Handshake::to("/memory").to_bytes())?;
    let response = client.response().context("the handshake")?;
    if response.status == 503 {
        return Ok(false);
    }
    ensure!(response.status == 101, "{response:?}");
    client.echo("a short one").context("a short message")?;
    // The server may close the connection before it has taken all.
    let _ = client.send(message);
    let frame = client.frame().context("a long message")?;
    if frame.first_byte == Opcode::BINARY {
        client.close()?;
        return Ok(true);
    }
    ensure!(frame == Frame::close(1013), "{frame:?}");
    Ok(false)
}

/// The time of day of an httpd.
struct Clock {
    folder: TempDir,
    file: File,
}

impl Clock {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let file = File::create(folder.path().join("clock"))?;
        let clock = Self { folder, file };
        clock.jump(0)?;
        Ok(clock)
    }

    fn path(&self) -> impl AsRef<Path> {
        self.folder.path().join("clock")
    }

    /// From now on it is so many seconds later than it is.
    fn jump(&self, seconds: i64) -> Result<()> {
        Ok(self.file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}

fn clock_jumps(context: &Context) -> Result<()> {
    const DAY: i64 = 24 * 60 * 60;
    const TIME: Duration = Duration::from_secs(5);
    let clock = Clock::new()?;
    let httpd = context
        .root()?
        .preload(context.plugins().library("system/jumping_clock"))
        .environment("JUMPING_CLOCK", clock.path().as_ref())
        .config(context.plugins().locations())
        .config(format!("WebSocketDrainTime {}s", TIME.as_secs()))
        .start()?;
    let mut client = open(&httpd, "/echo")?;
    for jump in [DAY, -DAY, 365 * DAY, 0] {
        clock.jump(jump)?;
        for _ in 0..20 {
            client.echo("hello")?;
        }
        open(&httpd, "/echo")?.close()?;
    }
    if context.mpm == Mpm::Prefork {
        return client.close();
    }
    clock.jump(DAY)?;
    let started = Instant::now();
    httpd.graceful()?;
    let told = Instant::now();
    clock.jump(-DAY)?;
    client.echo("still here")?;
    clock.jump(2 * DAY)?;
    client.expect(&Frame::close(1012))?;
    ensure!(started.elapsed() >= TIME * 4 / 5, "{:?}", started.elapsed());
    ensure!(told.elapsed() < TIME * 2, "{:?}", told.elapsed());
    ensure_healthy(&httpd.error_log()?)
}
