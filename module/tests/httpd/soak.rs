//! All at once and for long: TLS, HTTP/2, compression, detached connections, slow and silent
//! clients, publishers, connections that come and go, and graceful restarts. Every message is
//! checked.
//!
//! `cargo xtask soak --minutes N` runs this for longer.

mod explained;
mod players;
mod room;
mod stage;
mod talker;

use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::httpd::Httpd;
use xtask::soak::{Footprint, Requests, SOAK_SECONDS, ensure_explained};

use self::explained::EXPLAINED;
use self::players::PLAYERS;
use self::stage::{HTTP2_THREADS, MPM_THREADS, Stage, THREADS, Tally, start};
use crate::status::pages;
use crate::support::random::Random;
use crate::support::{Context, Driver, cases};

cases! {
    "soak: everything at once loses nothing, leaves nothing and logs nothing unexplained" => mixed,
    "soak: a lost, a damaged and a swapped message and a strange line do not go unnoticed"
        => notices,
}

/// How long the tests take for it with event loops, and with each of the other drivers.
const TIME: Duration = Duration::from_secs(120);
const TIME_OF_OTHERS: Duration = Duration::from_secs(24);

/// The memory in KiB by which a process may grow.
const ALLOWANCE_KIB: u64 = 4096;

/// By how much more after restarts: the parent shares fewer pages with a child that was started
/// later, and its part of them is greater.
const OF_RESTARTS_KIB: u64 = 8 * 1024;

/// The pause of a client in the tests, so that it does not disturb the other cases.
const PAUSE: Duration = Duration::from_millis(100);

/// The time between two restarts. Clients end in this time, so that old processes do.
const BETWEEN_RESTARTS: Duration = Duration::from_secs(4);

struct Soak<'a> {
    context: &'a Context,
    httpd: Httpd,
    tally: Tally,
    pause: Duration,
}

fn mixed(context: &Context) -> Result<()> {
    let asked = env::var(SOAK_SECONDS).ok();
    let asked = asked.map(|seconds| seconds.parse().map(Duration::from_secs));
    let asked = asked.transpose().context(SOAK_SECONDS)?;
    let is_event = context.driver == Driver::Event;
    let time = asked.unwrap_or(if is_event { TIME } else { TIME_OF_OTHERS });
    let pause = if asked.is_some() {
        Duration::ZERO
    } else {
        PAUSE
    };
    let soak = Soak::new(context, &context.plugins().handler("echo"), pause)?;

    soak.run(time / 4, false)?;
    let before = soak.allowing(soak.at_rest()?);
    soak.run(time * 3 / 8, false)?;
    let after = soak.at_rest()?;
    after.ensure_flat_since(&before, ALLOWANCE_KIB)?;
    soak.run(time * 3 / 8, true)?;
    let restarted = soak.at_rest()?;
    restarted.ensure_flat_since(&before, ALLOWANCE_KIB + OF_RESTARTS_KIB)?;

    let counts = ensure_explained(&soak.httpd.error_log()?, EXPLAINED)?;
    let answered = soak.tally.answered.load(Ordering::Relaxed);
    Requests::of(&soak.httpd.access_log()?).ensure_one_each(answered)?;
    if asked.is_some() {
        println!("{:#?}\n{before:?}\n{after:?}\n{restarted:?}", soak.tally);
        for (kind, count) in EXPLAINED.iter().zip(counts) {
            println!("{count} lines: {}", kind.reason);
        }
    }
    Ok(())
}

impl<'a> Soak<'a> {
    fn new(context: &'a Context, echo: &str, pause: Duration) -> Result<Self> {
        Ok(Self {
            context,
            httpd: start(context, echo)?,
            tally: Tally::default(),
            pause,
        })
    }

    /// Lets all clients play for so long. Each of them must have come to something.
    fn run(&self, time: Duration, restarts: bool) -> Result<()> {
        let stage = Stage {
            context: self.context,
            httpd: &self.httpd,
            tally: &self.tally,
            restarts,
            pause: self.pause,
            until: Instant::now() + time,
            has_failed: AtomicBool::new(false),
        };
        let played: Vec<_> = PLAYERS.iter().map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            let mut seed = 0;
            for (player, played) in PLAYERS.iter().zip(&played) {
                for _ in 0..player.count {
                    seed += 1;
                    let (stage, random) = (&stage, Random::of(seed));
                    threads.push(scope.spawn(move || {
                        let ended = play(stage, player, played, random);
                        ended.inspect_err(|_| stage.has_failed.store(true, Ordering::Relaxed))
                    }));
                }
            }
            if restarts {
                let stage = &stage;
                threads.push(scope.spawn(move || restart(stage)));
            }
            let ends = threads
                .into_iter()
                .map(|thread| thread.join().expect("it does not panic"));
            // All of them, before the first error is told.
            ends.collect::<Vec<_>>().into_iter().collect::<Result<()>>()
        })
        .map_err(|error| self.with_strange_lines(error))?;
        for (player, played) in PLAYERS.iter().zip(played) {
            let played = played.into_inner();
            ensure!(played > 0, "{} has done nothing", player.name);
        }
        if restarts && self.context.mpm != xtask::server_root::Mpm::Prefork {
            let drained = self.tally.drained.load(Ordering::Relaxed);
            ensure!(drained > 0, "no connection was closed with its process");
        }
        Ok(())
    }

    /// The lines of the error log may tell more of the error of a client.
    fn with_strange_lines(&self, error: anyhow::Error) -> anyhow::Error {
        let log = self.httpd.error_log();
        match log.and_then(|log| ensure_explained(&log, EXPLAINED)) {
            Ok(_) => error,
            Err(strange) => error.context(format!("{strange:#}")),
        }
    }

    /// The same with what threads may keep that have not driven a WebSocket yet: a pair of
    /// descriptors, a buffer and compressors. These are the threads of mod_http2 and, without event
    /// loops, those of the MPM.
    fn allowing(&self, mut footprint: Footprint) -> Footprint {
        const EACH_KIB: u64 = 640;
        let threads = match self.context.driver {
            Driver::Event => HTTP2_THREADS,
            Driver::Blocking => HTTP2_THREADS + MPM_THREADS,
        };
        footprint.child.descriptors += 2 * usize::try_from(threads).expect("few");
        footprint.child.memory_kib += EACH_KIB * u64::from(threads);
        footprint
    }

    /// What httpd holds when all clients have gone. The counters of its status say so, too.
    fn at_rest(&self) -> Result<Footprint> {
        let footprint = Footprint::at_rest(&self.httpd, THREADS)?;
        let report = pages::report(&self.httpd)?;
        for series in report["series"].as_array().context("no series")? {
            ensure!(series["open"] == 0, "{series}");
        }
        Ok(footprint)
    }
}

fn play(
    stage: &Stage<'_>,
    player: &players::Player,
    played: &AtomicUsize,
    mut random: Random,
) -> Result<()> {
    while !stage.is_over() {
        (player.play)(stage, &mut random).context(player.name)?;
        stage::count(played);
        stage.pause(stage.pause);
    }
    Ok(())
}

fn restart(stage: &Stage<'_>) -> Result<()> {
    loop {
        stage.pause(BETWEEN_RESTARTS);
        if stage.is_over() {
            return Ok(());
        }
        stage.httpd.graceful()?;
    }
}

/// The soak fails for each of the faults that it is there to find.
fn notices(context: &Context) -> Result<()> {
    const TIME: Duration = Duration::from_secs(20);
    if context.driver != Driver::Event {
        return Ok(());
    }
    for init in ["faulty", "damaging", "swapping"] {
        let plugin = context
            .plugins()
            .handler_with("faulty", &format!("{init}_init"));
        let soak = Soak::new(context, &plugin, Duration::ZERO)?;
        let error = soak.run(TIME, false).err();
        let error = error.with_context(|| format!("{init}: nothing was noticed"))?;
        ensure!(format!("{error:#}").contains("echo "), "{init}: {error:#}");
    }
    let soak = Soak::new(context, &context.plugins().handler("echo"), Duration::ZERO)?;
    ensure_explained(&soak.httpd.error_log()?, EXPLAINED)?;
    let child = soak.httpd.child_pids()?[0];
    let child = Pid::from_raw(child.try_into()?).context("no process has the number 0")?;
    kill_process(child, Signal::SEGV)?;
    soak.httpd
        .wait_for_log("exit signal Segmentation fault", crate::support::PATIENCE)?;
    let strange = ensure_explained(&soak.httpd.error_log()?, EXPLAINED);
    ensure!(strange.is_err(), "the line of the crashed child has passed");
    Ok(())
}
