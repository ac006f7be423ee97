//! A process that runs out of descriptors (`ulimit -n`) refuses handshakes and continues.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, Sizing};

use crate::support::http2::Http2;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, HTTP2, Handshake, cases, wait_until};

cases! {
    "when descriptors run low handshakes get 503 and the process lives" => shortage,
    "when descriptors run low handshakes over TLS and HTTP/2 get 503 too" => shortage_elsewhere,
    "a low limit of descriptors leaves room for WebSockets" => low_limit,
}

/// Limits the descriptors of httpd and of new children, and waits until only these serve requests.
pub(crate) fn limit(httpd: &Httpd, descriptors: u64) -> Result<()> {
    let limit = Rlimit {
        current: Some(descriptors),
        maximum: Some(descriptors),
    };
    let parent = Pid::from_raw(i32::try_from(httpd.pid())?);
    prlimit(parent, Resource::Nofile, limit)?;
    let old = httpd.child_pids()?;
    httpd.graceful()?;
    wait_until("children with the new limit serve", || {
        let children = httpd.child_pids()?;
        Ok(!children.is_empty() && children.iter().all(|child| !old.contains(child)))
    })
}

/// The number of attempted handshakes, the limit of descriptors, and the number of threads.
fn numbers(context: &Context) -> (usize, u64, u32) {
    match (context.mpm, context.driver) {
        (Mpm::Event, Driver::Event) => (600, 300, 16),
        // Every connection holds a thread.
        _ => (64, 150, 64),
    }
}

fn shortage(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        return Ok(()); // each process has one connection
    }
    let (attempts, descriptors, threads) = numbers(context);
    let factor = if context.mpm == Mpm::Event {
        "AsyncRequestWorkerFactor 4000"
    } else {
        ""
    };
    let httpd = context.start_small(threads, factor)?;
    limit(&httpd, descriptors)?;
    let children = httpd.child_pids()?;
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for attempt in 0..attempts {
        let mut client = Client::connect(httpd.address())?;
        client.send(Handshake::to("/echo").to_bytes())?;
        let response = client
            .response()
            .with_context(|| format!("attempt {attempt}, {} accepted", accepted.len()))?;
        if response.status == 101 {
            accepted.push(client);
            continue;
        }
        ensure!(response.status == 503, "{response:?}");
        ensure!(response.header("Retry-After") == Some("10"), "{response:?}");
        refused.push(client);
    }
    ensure!(
        accepted.len() > 20 && !refused.is_empty(),
        "{}",
        accepted.len()
    );
    for client in &mut accepted {
        client.echo("still here")?;
    }
    ensure!(httpd.child_pids()? == children, "the process has ended");
    let log = httpd.error_log()?;
    let lines = log.matches("the last ones are for requests").count();
    ensure!(lines == 1, "{lines} lines");
    ensure!(!log.contains("Too many open files"), "{log}");

    // There is room again, whichever descriptors are free.
    drop(refused);
    for client in accepted.drain(..10) {
        client.close()?;
    }
    wait_until("there is room again", || {
        let response = Client::ask(httpd.address(), &Handshake::to("/echo"))?;
        Ok(response.status == 101)
    })?;
    for client in &mut accepted {
        client.echo("still here")?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn shortage_elsewhere(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        return Ok(()); // each process has one connection
    }
    let (attempts, descriptors, threads) = numbers(context);
    let sizing = Sizing {
        processes: 1,
        threads,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .stock_module("http2")
        .tls_port(xtask::port::free_port()?)
        .config(HTTP2)
        .config(context.plugins().locations())
        .start()?;
    limit(&httpd, descriptors)?;
    let mut open = Vec::new();
    let is_full = |client: &mut Client| -> Result<bool> {
        client.send(Handshake::to("/echo").to_bytes())?;
        Ok(client.response()?.status == 503)
    };
    loop {
        let mut client = Client::connect(httpd.address())?;
        if is_full(&mut client)? {
            break;
        }
        open.push(client);
        ensure!(open.len() < attempts, "nothing is refused");
    }
    let handshake = Handshake::to("/echo");
    let mut over_tls = Client::connect_tls(&httpd)?;
    over_tls.send(handshake.to_bytes())?;
    let (response, page) = over_tls.page()?;
    ensure!(response.status == 503, "{response:?}");
    ensure!(response.header("Retry-After") == Some("10"), "{response:?}");
    ensure!(page.contains("</html>"), "the page is cut off: {page}");
    for connect in [
        |httpd: &Httpd| Http2::connect(httpd.address()),
        Http2::connect_tls,
    ] {
        let http2 = connect(&httpd)?;
        let answer = http2.ask(&handshake)?;
        ensure!(answer.response.status == 503, "{:?}", answer.response);
        // The connection and its other streams continue.
        ensure!(http2.get("/absent")? == 404);
    }
    for client in &mut open {
        client.echo("still here")?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn low_limit(context: &Context) -> Result<()> {
    let httpd = context.start_small(4, "")?;
    limit(&httpd, 64)?;
    for _ in 0..3 {
        let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
        client.echo("hello")?;
        client.close()?;
    }
    Ok(())
}
