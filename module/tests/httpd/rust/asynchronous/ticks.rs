//! Ticks that wait.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;

use super::backend::Backend;
use crate::support::server::ensure_healthy;
use crate::support::{Context, PATIENCE, cases, wait_until};
use crate::ticks::{open, start_with, take, tick};

cases! {
    "async plugins: one process has the ticks, at multiples of the interval, each once" => one,
    "async plugins: every process has the ticks, if the plugin says so" => everywhere,
    "async plugins: a tick that waits leaves ticks out, and none is beside it" => slow,
    "async plugins: a panic and an error of ticks are logged once in a row" => trouble,
    "async plugins: a tick that waits is cancelled when its process ends" => cancelled,
    "async plugins: a tick that blocks does not keep a child from ending" => stuck,
}

fn start(context: &Context, options: &[(&str, &str)]) -> Result<Httpd> {
    start_with(context, "pendulum", options)
}

fn one(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "30")])?;
    let mut pids = BTreeSet::new();
    for _ in 0..2 {
        pids.extend(take(&mut open(&httpd)?, 20, 30, &mut 0)?);
    }
    ensure!(pids.len() == 1, "{pids:?}");
    // After a restart another process has them, without a client that starts its runtime.
    httpd.graceful()?;
    let mut client = open(&httpd)?;
    wait_until("another process ticks", || {
        Ok(!pids.contains(&tick(&mut client)?.0))
    })
}

fn everywhere(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "40"), ("everywhere", "yes")])?;
    let mut client = open(&httpd)?;
    let mut pids = BTreeSet::new();
    wait_until("all processes tick", || {
        pids.insert(tick(&mut client)?.0);
        Ok(httpd.child_pids()?.iter().all(|pid| pids.contains(pid)))
    })
}

fn slow(context: &Context) -> Result<()> {
    let httpd = start(context, &[("interval", "30"), ("trouble", "slow")])?;
    let mut client = open(&httpd)?;
    let mut last = tick(&mut client)?.1;
    for _ in 0..5 {
        let (_, time) = tick(&mut client)?;
        ensure!(time >= last + 90, "{time} after {last}");
        last = time;
    }
    ensure!(!httpd.error_log()?.contains("two ticks at once"));
    Ok(())
}

fn trouble(context: &Context) -> Result<()> {
    for (trouble, line) in [
        ("panic", "[Pendulum] on_tick panicked at "),
        ("error", "[Pendulum] on_tick: out of tune"),
    ] {
        let httpd = start(context, &[("interval", "30"), ("trouble", trouble)])?;
        take(&mut open(&httpd)?, 10, 30, &mut 0)?;
        let log = httpd.error_log()?;
        ensure!(log.matches(line).count() == 1, "{log}");
    }
    Ok(())
}

/// The children have no connection: nothing but their ticks has started their runtimes.
fn cancelled(context: &Context) -> Result<()> {
    let backend = Backend::new()?;
    let port = backend.port()?.to_string();
    let options = [
        ("interval", "20"),
        ("trouble", "ask"),
        ("port", port.as_str()),
    ];
    let httpd = start(context, &options)?;
    let question = backend.question()?;
    httpd.restart()?;
    question.expect_cancelled()?;
    let line = "[Pendulum] on_tick has not completed when its process had to end, and is dropped";
    httpd.wait_for_log(line, PATIENCE)?;
    // A tick that may complete does, and the next one comes.
    for _ in 0..3 {
        backend.question()?.answer("yes")?;
    }
    let question = backend.question()?;
    let log = httpd.error_log()?;
    for complaint in ["does not return", "does not end", "SIGKILL"] {
        ensure!(!log.contains(complaint), "{log}");
    }
    ensure_healthy(&log)?;
    let began = Instant::now();
    let status = httpd.stop()?;
    question.expect_cancelled()?;
    let took = began.elapsed();
    ensure!(took < context.stops_within()?, "it took {took:?}");
    ensure!(status.success(), "{status}");
    Ok(())
}

fn stuck(context: &Context) -> Result<()> {
    let options = [
        ("interval", "20"),
        ("everywhere", "yes"),
        ("trouble", "stuck"),
    ];
    let httpd = start(context, &options)?;
    httpd.wait_for_log("a tick is stuck", PATIENCE)?;
    httpd.restart()?;
    httpd.wait_for_log("a tick of the plugin Pendulum does not return", PATIENCE)?;
    let mut client = open(&httpd)?;
    client.text("hello")?;
    while client.next_text()? != "hello" {}
    let log = httpd.error_log()?;
    ensure!(!log.contains("SIGKILL"), "{log}");
    ensure_healthy(&log)
}
