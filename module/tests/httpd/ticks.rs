//! Ticks of plugins, in threads of the children.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::process::threads;
use xtask::server_root::{Mpm, Sizing};

use crate::rust::location;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, PATIENCE, cases, wait_until};

cases! {
    "ticks: one process has them, at multiples of the interval, each once" => one,
    "ticks: when the process that has them is killed, another one goes on" => killed,
    "ticks: after graceful restarts a new process has them, and none is doubled" => graceful,
    "ticks: every process has them, if the plugin says so" => everywhere,
    "ticks: a panic and an error are logged once in a row, and the next tick comes" => trouble,
    "ticks: what takes longer than the interval leaves ticks out" => slow,
    "ticks: without them a plugin has no thread" => none,
    "ticks: httpd stops and restarts with ticks under way" => stops,
    "ticks: those that publish over TLS while a child ends crash nothing" => storm,
    "ticks: a process that cannot know whether it has them says so" => unknown,
    "ticks: a tick that does not return does not keep a child from ending" => stuck,
}

/// What the client gets: the process that ticks, and the time in milliseconds.
pub(crate) fn tick(client: &mut Client) -> Result<(u32, u64)> {
    let text = client.next_text()?;
    let (pid, time) = text.split_once(' ').with_context(|| text.clone())?;
    Ok((pid.parse()?, time.parse()?))
}

fn start(context: &Context, options: &[(&str, &str)]) -> Result<Httpd> {
    start_with(context, "metronome", options)
}

/// A server with several children, and a plugin that ticks.
pub(crate) fn start_with(
    context: &Context,
    plugin: &str,
    options: &[(&str, &str)],
) -> Result<Httpd> {
    let options: String = options
        .iter()
        .map(|(name, value)| format!("WebSocketPluginOption {name} {value}\n"))
        .collect();
    let sizing = Sizing {
        processes: 3,
        threads: 16,
    };
    let children = match context.mpm {
        Mpm::Prefork => "StartServers 3",
        _ => "StartServers 2\nMinSpareThreads 20",
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(children)
        .config(location(context, "/ticks", plugin, &options))
        .start()?;
    wait_until("there are two children", || {
        Ok(httpd.child_pids()?.len() >= 2)
    })?;
    Ok(httpd)
}

pub(crate) fn open(httpd: &Httpd) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to("/ticks"))
}

fn kill(pid: u32) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no process")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// Takes so many ticks. Each comes later than the one before, at a multiple of the interval.
/// Returns the processes that have ticked.
pub(crate) fn take(
    client: &mut Client,
    count: usize,
    interval: u64,
    last: &mut u64,
) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for _ in 0..count {
        let (pid, time) = tick(client)?;
        ensure!(
            time > *last && time.is_multiple_of(interval),
            "{time} after {last}"
        );
        *last = time;
        pids.push(pid);
    }
    Ok(pids)
}

fn one(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "30")])?;
    let mut clients = [open(&httpd)?, open(&httpd)?];
    let mut pids = BTreeSet::new();
    for client in &mut clients {
        pids.extend(take(client, 20, 30, &mut 0)?);
    }
    ensure!(pids.len() == 1, "{pids:?}");
    let children: BTreeSet<_> = httpd.child_pids()?.into_iter().collect();
    ensure!(pids.is_subset(&children), "{pids:?} of {children:?}");
    Ok(())
}

fn unknown(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "50")])?;
    tick(&mut open(&httpd)?)?;
    let directory = topics_directory(&httpd)?;
    // Those that do not tick look for the file again and again.
    fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let line = httpd.wait_for_log("leaves to others what one process does for all", PATIENCE)?;
    ensure!(
        line.contains("tick.") && line.contains("No such file"),
        "{line}"
    );
    Ok(())
}

/// The folder with the file that the process has locked.
fn topics_directory(httpd: &Httpd) -> Result<PathBuf> {
    let mut folders = vec![httpd.root().dir().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("websocket-topics.") {
                return Ok(entry.path());
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bail!("there is no folder of topics")
}

fn killed(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "50")])?;
    for _ in 0..3 {
        let ticking = tick(&mut open(&httpd)?)?.0;
        kill(ticking)?;
        wait_until("the process is gone", || {
            Ok(!httpd.child_pids()?.contains(&ticking))
        })?;
        let mut client = open(&httpd)?;
        let (pid, _) = tick(&mut client)?;
        ensure!(pid != ticking, "a process that is gone ticks");
    }
    Ok(())
}

fn graceful(context: &Context) -> Result<()> {
    const INTERVAL: u64 = 50;
    let httpd = start(context, &[("interval", "50")])?;
    let mut client = open(&httpd)?;
    let mut last = 0;
    let mut ticking = take(&mut client, 3, INTERVAL, &mut last)?[0];
    for _ in 0..2 {
        httpd.graceful()?;
        // The connection stays in its process, which may be the one that has ticked.
        let (old, began) = (ticking, Instant::now());
        loop {
            let pid = take(&mut client, 1, INTERVAL, &mut last)?[0];
            if pid != ticking {
                ticking = pid;
                break;
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "the old process goes on with the ticks"
            );
        }
        let pids = take(&mut client, 10, INTERVAL, &mut last)?;
        ensure!(!pids.contains(&old), "{pids:?} after {old}");
    }
    Ok(())
}

fn everywhere(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "40"), ("everywhere", "yes")])?;
    let mut client = open(&httpd)?;
    let began = Instant::now();
    let mut pids = BTreeSet::new();
    while !httpd.child_pids()?.iter().all(|pid| pids.contains(pid)) {
        ensure!(began.elapsed() < PATIENCE, "only {pids:?} tick");
        let (pid, time) = tick(&mut client)?;
        ensure!(time.is_multiple_of(40), "{time}");
        pids.insert(pid);
    }
    Ok(())
}

fn trouble(context: &Context) -> Result<()> {
    for (trouble, line) in [
        ("panic", "[Metronome] on_tick panicked at "),
        ("error", "[Metronome] on_tick: out of tune"),
    ] {
        let httpd = start(context, &[("interval", "30"), ("trouble", trouble)])?;
        take(&mut open(&httpd)?, 10, 30, &mut 0)?;
        let log = httpd.error_log()?;
        ensure!(log.matches(line).count() == 1, "{log}");
    }
    Ok(())
}

fn slow(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "30"), ("trouble", "slow")])?;
    let mut client = open(&httpd)?;
    let mut last = tick(&mut client)?.1;
    for _ in 0..5 {
        let (_, time) = tick(&mut client)?;
        ensure!(
            time >= last + 90 && time.is_multiple_of(30),
            "{time} after {last}"
        );
        last = time;
    }
    Ok(())
}

fn none(context: &Context) -> Result<()> {
    let httpd = start(context, &[])?;
    open(&httpd)?.echo("hello")?;
    for child in httpd.child_pids()? {
        let count = threads(child, "ws-tick")?;
        ensure!(count == 0, "{count} threads");
    }
    let httpd = start(context, &[("interval", "1000")])?;
    for child in httpd.child_pids()? {
        wait_until("each process has one thread for ticks", || {
            Ok(threads(child, "ws-tick")? == 1)
        })?;
    }
    Ok(())
}

fn stops(context: &Context) -> Result<()> {
    for trouble in ["none", "slow"] {
        let options = [
            ("interval", "20"),
            ("everywhere", "yes"),
            ("trouble", trouble),
        ];
        let httpd = start(context, &options)?;
        let _client = open(&httpd)?;
        httpd.restart()?;
        let mut client = open(&httpd)?;
        tick(&mut client)?;
        httpd.graceful()?;
        tick(&mut client)?;
        let log = httpd.error_log()?;
        if !httpd.stop()?.success() || log.contains("exit signal") {
            bail!("{log}");
        }
    }
    Ok(())
}

/// Ticks publish over TLS while the memory of the connection is freed.
fn storm(context: &Context) -> Result<()> {
    let sizing = Sizing {
        processes: 1,
        threads: 8,
    };
    let options = "WebSocketPluginOption interval 50\nWebSocketPluginOption everywhere yes\n\
                   WebSocketPluginOption trouble storm\n";
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(location(context, "/ticks", "metronome", options))
        .tls_port(free_port()?)
        .start()?;
    for _ in 0..10 {
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = Client::open_tls(&httpd, &Handshake::to("/ticks"))?;
            client.frame()?;
            clients.push(thread::spawn(move || client.drain()));
        }
        httpd.restart()?;
        for client in clients {
            // It may end in the middle of a record.
            let _ = client.join().expect("it does not panic");
        }
    }
    let log = httpd.error_log()?;
    ensure_healthy(&log).with_context(|| log)?;
    ensure!(httpd.stop()?.success());
    Ok(())
}

/// The child ends on its own: httpd's parent kills one only nine seconds after its first signal.
fn stuck(context: &Context) -> Result<()> {
    let options = [
        ("interval", "20"),
        ("everywhere", "yes"),
        ("trouble", "stuck"),
    ];
    let httpd = start(context, &options)?;
    httpd.wait_for_log("a tick is stuck", PATIENCE)?;
    httpd.restart()?;
    httpd.wait_for_log("a tick of the plugin Metronome does not return", PATIENCE)?;
    // The parent starts a new child when all old ones have ended. It ticks until it is stuck.
    let mut client = open(&httpd)?;
    client.text("hello")?;
    while client.next_text()? != "hello" {}
    let log = httpd.error_log()?;
    ensure!(!log.contains("sending a SIGKILL"), "{log}");
    ensure_healthy(&log)
}
