//! Graceful restarts are no event for open connections.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use crate::support::server::ensure_healthy;
use crate::support::tls::TlsStream;
use crate::support::{Client, Context, Driver, Handshake, cases, wait_until};

cases! {
    "500 connections echo through ten graceful restarts, none late" => plain,
    "TLS: connections echo through ten graceful restarts, none late" => tls,
    "WebSocketDetach: 500 connections echo through ten graceful restarts, none late" => detached,
}

const RESTARTS: usize = 10;

/// How many restarts there may be until ten were undisturbed.
const TRIES: usize = 40;

/// The longest time that an echo may take, if the machine is not late itself.
const LATEST: Duration = Duration::from_millis(100);

/// The time between two echoes of a client.
const PERIOD: Duration = Duration::from_millis(100);

/// A busy machine is late for all, but not for all at the very same time.
const AROUND: Duration = Duration::from_millis(300);

/// How many clients a thread has.
const GROUP: usize = 50;

/// An echo: when it was sent, and how long it took.
#[derive(Clone, Copy, Debug)]
struct Echo(Instant, Duration);

impl Echo {
    /// Whether one was on its way shortly before or after the other.
    fn is_near(&self, other: &Self) -> bool {
        let ends = [self.0 + self.1, other.0 + other.1];
        self.0 < ends[1] + AROUND && other.0 < ends[0] + AROUND
    }
}

fn plain(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let count = match (context.driver, context.mpm) {
        (Driver::Event, _) => 500,
        (Driver::Blocking, Mpm::Prefork) => 5,
        (Driver::Blocking, _) => 12,
    };
    check(context, &httpd, count, |httpd| {
        Client::open(httpd.address(), &Handshake::to("/echo"))
    })
}

fn tls(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let port = xtask::port::free_port()?;
    let root = context.root()?.tls_port(port);
    let httpd = root.config(context.plugins().locations()).start()?;
    check::<TlsStream>(context, &httpd, 100, |httpd| {
        Client::open_tls(httpd, &Handshake::to("/echo"))
    })
}

fn detached(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let location = context.plugins().rust_location("/hermit", "hermit");
    let root = context.root()?.config(location);
    let httpd = root.config("WebSocketDetach On").start()?;
    check(context, &httpd, 500, |httpd| {
        Client::open(httpd.address(), &Handshake::to("/hermit"))
    })
}

/// What a thread with clients has done.
#[derive(Default)]
struct Progress {
    rounds: AtomicUsize,
    /// Those that were not looked at yet.
    echoes: Mutex<Vec<Echo>>,
    is_over: AtomicBool,
}

impl Progress {
    fn rounds(&self) -> usize {
        self.rounds.load(Ordering::Relaxed)
    }

    /// The echoes since the last call.
    fn take(&self) -> Vec<Echo> {
        std::mem::take(&mut *self.echoes.lock().expect("nobody panics"))
    }

    /// Waits until all clients of the threads have echoed some more.
    fn wait_for(all: &[Self]) -> Result<()> {
        let before: Vec<_> = all.iter().map(Self::rounds).collect();
        let is_over = |progress: &Self| progress.is_over.load(Ordering::Relaxed);
        wait_until("all clients echo", || {
            let mut both = all.iter().zip(&before);
            Ok(all.iter().any(is_over) || both.all(|(now, before)| now.rounds() > before + 2))
        })?;
        ensure!(!all.iter().any(is_over), "a connection is lost");
        Ok(())
    }
}

/// Opens connections, and restarts httpd while all of them echo, until ten restarts were without a
/// late echo. On a busy machine that needs more restarts, because all programs are late there. If
/// restarts delayed echoes, no number of them would do.
///
/// Beside them connections to another httpd, which nobody restarts, tell how late the machine is.
fn check<S: Read + Write + Send>(
    context: &Context,
    httpd: &Httpd,
    count: usize,
    open: fn(&Httpd) -> Result<Client<S>>,
) -> Result<()> {
    let other = context.start("")?;
    let mut control = (0..count.min(GROUP))
        .map(|_| Client::open(other.address(), &Handshake::to("/echo")))
        .collect::<Result<Vec<_>>>()?;
    let mut clients = (0..count)
        .map(|_| open(httpd))
        .collect::<Result<Vec<_>>>()?;
    let is_over = &AtomicBool::new(false);
    let machine = &Progress::default();
    let mut all = Vec::new();
    all.resize_with(count.div_ceil(GROUP), Progress::default);
    thread::scope(|scope| {
        let control = &mut control;
        let mut threads = vec![scope.spawn(move || talk(control, machine, is_over))];
        for (group, progress) in clients.chunks_mut(GROUP).zip(&all) {
            threads.push(scope.spawn(move || talk(group, progress, is_over)));
        }
        let restarted = restart_until_undisturbed(httpd, open, &all, machine);
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().expect("it does not panic")?;
        }
        restarted
    })?;
    for client in clients {
        client.close()?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn restart_until_undisturbed<S: Read + Write>(
    httpd: &Httpd,
    open: fn(&Httpd) -> Result<Client<S>>,
    all: &[Progress],
    machine: &Progress,
) -> Result<()> {
    Progress::wait_for(all)?;
    let mut late = Vec::new();
    let mut undisturbed = 0;
    for number in 0..TRIES {
        all.iter()
            .chain([machine])
            .for_each(|progress| drop(progress.take()));
        restart(httpd, open, all).with_context(|| format!("restart {number}"))?;
        let echoes: Vec<_> = all.iter().flat_map(Progress::take).collect();
        match latest(&echoes, &machine.take()) {
            Some(time) => late.push(time),
            None => undisturbed += 1,
        }
        if undisturbed == RESTARTS {
            return Ok(());
        }
    }
    bail!(
        "of {TRIES} restarts {} made echoes late: {late:?}",
        late.len()
    )
}

/// Restarts, serves a new connection, and lets all clients echo some more.
fn restart<S: Read + Write>(
    httpd: &Httpd,
    open: fn(&Httpd) -> Result<Client<S>>,
    all: &[Progress],
) -> Result<()> {
    httpd.graceful()?;
    let mut new = open(httpd)?;
    new.echo("new")?;
    new.close()?;
    Progress::wait_for(all)
}

/// Echoes with all clients, again and again.
fn talk<S: Read + Write>(
    clients: &mut [Client<S>],
    progress: &Progress,
    is_over: &AtomicBool,
) -> Result<()> {
    let mut number = 0_u64;
    let outcome = loop {
        if is_over.load(Ordering::Relaxed) {
            break Ok(());
        }
        let started = Instant::now();
        match echo(clients, &number.to_string()) {
            Ok(echoes) => progress
                .echoes
                .lock()
                .expect("nobody panics")
                .extend(echoes),
            Err(error) => break Err(error),
        }
        number += 1;
        progress.rounds.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PERIOD.saturating_sub(started.elapsed()));
    };
    progress.is_over.store(true, Ordering::Relaxed);
    outcome
}

/// Echoes with all clients at the same time.
fn echo<S: Read + Write>(clients: &mut [Client<S>], text: &str) -> Result<Vec<Echo>> {
    let mut sent = Vec::new();
    for client in &mut *clients {
        client.text(text)?;
        sent.push(Instant::now());
    }
    let mut echoes = Vec::new();
    for (client, sent) in clients.iter_mut().zip(sent) {
        client.expect_text(text)?;
        echoes.push(Echo(sent, sent.elapsed()));
    }
    Ok(echoes)
}

/// The longest time of an echo that was later than the machine at the time.
fn latest(echoes: &[Echo], machine: &[Echo]) -> Option<Duration> {
    let is_late = |echo: &&Echo| {
        let near = machine.iter().filter(|other| other.is_near(echo));
        let lateness = near.map(|other| other.1).max().unwrap_or_default();
        echo.1 > LATEST + lateness
    };
    let suspects = echoes.iter().filter(|echo| echo.1 > LATEST);
    suspects.filter(is_late).map(|echo| echo.1).max()
}
