//! Very many connections that end in all ways in which a client can end them. `cargo xtask soak`
//! runs longer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::net::sockopt::set_socket_linger;
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, Sizing};
use xtask::soak::{Footprint, Requests, ensure_healthy};

use crate::support::tls::TlsStream;
use crate::support::{Client, Context, Driver, Handshake, cases, wait_until};

cases! {
    "finished connections leave one line each in the access log and nothing else" => plain,
    "TLS: finished connections leave one line each in the access log and nothing else" => over_tls,
    "graceful restarts during a storm of connections cause no crash and no loss" => restarts,
}

/// The number of WebSocket threads of an idle child.
const THREADS: usize = 2;

/// The memory in KiB by which a process may grow.
const ALLOWANCE_KIB: u64 = 2048;

/// The number of simultaneous connections.
const CLIENTS: usize = 4;

fn plain(context: &Context) -> Result<()> {
    let count = if context.driver == Driver::Event {
        3000
    } else {
        1000
    };
    leaves_nothing(context, count, open_plain)
}

fn over_tls(context: &Context) -> Result<()> {
    if context.driver == Driver::Event {
        leaves_nothing(context, 900, open_tls)?;
    }
    Ok(())
}

fn leaves_nothing<S: Socket>(
    context: &Context,
    count: u64,
    open: fn(&Httpd) -> Result<Client<S>>,
) -> Result<()> {
    let httpd = start(context)?;
    let warm_up = count / 3;
    let first = storm(&httpd, 0..warm_up, open)?;
    let before = Footprint::at_rest(&httpd, THREADS)?;
    let rest = storm(&httpd, warm_up..count, open)?;
    let after = Footprint::at_rest(&httpd, THREADS)?;
    ensure_healthy(&httpd.error_log()?)?;
    Requests::of(&httpd.access_log()?).ensure_one_each(first + rest)?;
    ensure!(after.children == before.children, "{before:?}, {after:?}");
    after.ensure_flat_since(&before, ALLOWANCE_KIB)
}

fn restarts(context: &Context) -> Result<()> {
    const RESTARTS: usize = 6;
    if context.driver != Driver::Event {
        return Ok(());
    }
    let httpd = start(context)?;
    let is_over = AtomicBool::new(false);
    // The storm lasts until the last restart.
    let answered = thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let mut answered = 0;
            for first in (0..).step_by(100) {
                let numbers = first..first + 100;
                answered += storm(&httpd, numbers, open_plain)?;
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            anyhow::Ok(answered)
        });
        let restarted = (0..RESTARTS).try_for_each(|_| {
            let lines = httpd.access_log()?.len();
            wait_until("more connections come", || {
                Ok(storm.is_finished() || httpd.access_log()?.len() > lines + 10_000)
            })?;
            httpd.graceful()
        });
        is_over.store(true, Ordering::Relaxed);
        restarted.and(storm.join().expect("it does not panic"))
    })?;
    Footprint::at_rest(&httpd, THREADS)?;
    ensure_healthy(&httpd.error_log()?)?;
    Requests::of(&httpd.access_log()?).ensure_one_each(answered)
}

fn start(context: &Context) -> Result<Httpd> {
    let sizing = Sizing {
        processes: 1,
        threads: 4,
    };
    // Keeps prefork from starting more children than at first.
    let children = if context.mpm == Mpm::Prefork {
        format!("StartServers {CLIENTS}\nMinSpareServers 1\nMaxRequestWorkers {CLIENTS}\n")
    } else {
        String::new()
    };
    context
        .root()?
        .sizing(sizing)
        .tls_port(port::free_port()?)
        .config(context.plugins().locations())
        .config(children)
        .config(format!(
            "LogLevel warn\nKeepAliveTimeout 100ms\nWebSocketThreads {THREADS} 4"
        ))
        .start()
}

/// The stream of a client.
pub(crate) trait Socket: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

fn open_plain(httpd: &Httpd) -> Result<Client> {
    Client::connect(httpd.address())
}

fn open_tls(httpd: &Httpd) -> Result<Client<TlsStream>> {
    Client::connect_tls(httpd)
}

/// Opens and ends the connections with these numbers. Returns how many got a 101.
fn storm<S: Socket>(
    httpd: &Httpd,
    numbers: Range<u64>,
    open: fn(&Httpd) -> Result<Client<S>>,
) -> Result<usize> {
    let (next, answered) = (AtomicU64::new(numbers.start), AtomicUsize::new(0));
    let client = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return anyhow::Ok(());
            }
            let is_answered = cycle(open(httpd)?, number)
                .with_context(|| format!("connection {number}, of kind {}", number % 6))?;
            answered.fetch_add(is_answered.into(), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().expect("it does not panic"))
    })?;
    Ok(answered.into_inner())
}

/// Of three connections, one ends after an echo, one after the 101 and one before it. Of two, one
/// ends in order and one with a reset. Returns whether there was a 101.
pub(crate) fn cycle<S: Socket>(mut client: Client<S>, number: u64) -> Result<bool> {
    let (has_answer, has_echo) = (!number.is_multiple_of(3), number % 3 == 2);
    let ends_in_order = number.is_multiple_of(2);
    let word = if has_answer { "waits" } else { "leaves" };
    let handshake = Handshake::to(&format!("/echo?{word}={number}"));
    client.send(handshake.to_bytes())?;
    if has_answer {
        let response = client.response()?;
        ensure!(response.status == 101, "{response:?}");
    }
    if has_echo {
        client.echo("hello")?;
        if ends_in_order {
            return client.close().map(|()| true);
        }
    }
    if !ends_in_order {
        set_socket_linger(client.stream.tcp(), Some(Duration::ZERO))?;
    }
    Ok(has_answer)
}
