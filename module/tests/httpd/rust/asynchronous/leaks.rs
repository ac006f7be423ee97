//! What connections leave behind.

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::{Mpm, ServerRoot, Sizing};
use xtask::soak::Footprint;

use super::backend::Backend;
use super::{expect_gone, runtime_threads};
use crate::rust::{location, open};
use crate::support::http2::Http2;
use crate::support::server::ensure_healthy;
use crate::support::wire::{AnyClient, alone, any};
use crate::support::{Client, Context, Driver, Handshake, cases};

cases! {
    "async plugins: a thousand connections leave nothing" => nothing_left,
    "async plugins: a thousand handshakes that wait leave nothing" => handshakes,
    "async plugins: connections over TLS and detached ones leave nothing" => nothing_left_elsewhere,
    "async plugins: a thousand connections over HTTP/2 leave nothing" => nothing_left_http2,
}

/// The number of threads for WebSockets of an idle child.
const THREADS: usize = 2;

/// The number of threads of mod_http2.
const HTTP2_THREADS: u32 = 8;

/// The memory in KiB by which a process may grow where TLS or HTTP/2 makes the heap's busiest
/// moment vary.
const ALLOWANCE_KIB: u64 = 4096;

/// By how much a process may grow.
#[derive(Clone, Copy)]
struct Allowance {
    descriptors: usize,
    memory_kib: u64,
}

impl Allowance {
    const fn memory(memory_kib: u64) -> Self {
        Self {
            descriptors: 0,
            memory_kib,
        }
    }
}

/// What a child that `Footprint` can measure needs.
fn measurable() -> String {
    format!("KeepAliveTimeout 100ms\nWebSocketThreads {THREADS} 4\n")
}

/// A server with one child that can be measured.
fn one_child(context: &Context, config: &str) -> Result<ServerRoot> {
    let sizing = Sizing {
        processes: 1,
        threads: 8,
    };
    let config = measurable() + config;
    Ok(context.root()?.sizing(sizing).config(config))
}

/// Serves so many clients, which have a number each. The last two thirds leave nothing beyond the
/// allowance.
fn ensure_flat(
    httpd: &Httpd,
    count: u32,
    allowance: Allowance,
    serve: impl Fn(u32) -> Result<()>,
) -> Result<()> {
    let at_rest = || {
        let footprint = Footprint::at_rest(httpd, THREADS)?;
        anyhow::Ok((footprint, runtime_threads(httpd)?))
    };
    (0..count / 3).try_for_each(&serve)?;
    let mut before = at_rest()?;
    before.0.child.descriptors += allowance.descriptors;
    (count / 3..count).try_for_each(&serve)?;
    let after = at_rest()?;
    ensure!(after.1 <= before.1, "{before:?}, {after:?}");
    after.0.ensure_flat_since(&before.0, allowance.memory_kib)?;
    ensure_healthy(&httpd.error_log()?)
}

fn nothing_left(context: &Context) -> Result<()> {
    // On prefork each process counts separately, and fewer connections suffice.
    let count = if context.mpm == Mpm::Prefork {
        50
    } else {
        1000
    };
    let config = location(context, "/waiter", "waiter", "") + &measurable();
    let httpd = context.start_small(8, &config)?;
    let backend = Backend::new()?;
    let port = backend.port()?;
    ensure_flat(
        &httpd,
        count,
        Allowance::memory(ALLOWANCE_KIB / 2),
        |number| {
            let mut client = open(&httpd, "/waiter")?;
            if number % 2 == 0 {
                client.text(format!("ask {port} something"))?;
                let question = backend.question()?;
                if number % 4 == 0 {
                    client.reset()?;
                    return question.expect_cancelled();
                }
                question.answer("answer")?;
                client.expect_text("answer")?;
            }
            client.echo("hello")?;
            client.close()
        },
    )
}

fn handshakes(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let locations = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/detached", "waiter", "WebSocketDetach On"),
    ];
    let httpd = one_child(context, &locations.concat())?
        .tls_port(free_port()?)
        .start()?;
    let backend = Backend::new()?;
    let port = backend.port()?;
    ensure_flat(&httpd, 1000, Allowance::memory(ALLOWANCE_KIB), |number| {
        let path = ["/waiter", "/detached"][number as usize % 2];
        let handshake = Handshake::to(&format!("{path}?ask={port}"));
        let mut client = if number % 4 == 0 {
            any(Client::connect_tls(&httpd)?)
        } else {
            any(Client::connect(httpd.address())?)
        };
        client.send(handshake.to_bytes())?;
        let question = backend.question()?;
        let (answer, status) = match number / 4 % 4 {
            0 => {
                drop(client);
                question.answer("yes")?;
                return expect_gone(&backend, 1006);
            }
            1 => ("yes", 101),
            2 => ("busy", 420),
            _ => ("error", 500),
        };
        question.answer(answer)?;
        let response = client.response()?;
        ensure!(response.status == status, "{response:?}");
        if status == 101 {
            client.close()?;
            expect_gone(&backend, 1000)?;
        }
        Ok(())
    })
}

fn nothing_left_elsewhere(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let locations = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/detached", "waiter", "WebSocketDetach On"),
    ];
    let httpd = one_child(context, &locations.concat())?
        .tls_port(free_port()?)
        .start()?;
    let backend = Backend::new()?;
    ensure_flat(&httpd, 900, Allowance::memory(ALLOWANCE_KIB), |number| {
        let client = if number % 2 == 0 {
            any(Client::open_tls(&httpd, &Handshake::to("/waiter"))?)
        } else {
            any(open(&httpd, "/detached")?)
        };
        serve_one(client, &backend, number / 2)
    })
}

/// Each connection has one WebSocket.
fn nothing_left_http2(context: &Context) -> Result<()> {
    if context.driver != Driver::Event || !context.serves_http2()? {
        return Ok(());
    }
    // Threads of mod_http2 that come and go would be measured, too. A client has so long to ask for
    // its WebSocket.
    let settings =
        format!("H2MinWorkers {HTTP2_THREADS}\nH2MaxWorkers {HTTP2_THREADS}\nKeepAliveTimeout 5\n");
    let config = location(context, "/waiter", "waiter", "") + &settings;
    let root = one_child(context, "")?;
    let httpd = context.with_http2(root)?.config(config).start()?;
    let open = || {
        let http2 = Http2::connect(httpd.address())?;
        alone(http2, &Handshake::to("/waiter"))
    };
    // A thread of mod_http2 keeps two sockets from its first WebSocket on, for the next ones. So all
    // of them serve one before anything is measured, except one that the module leaves to requests.
    let most = (1..HTTP2_THREADS).map(|_| open());
    most.collect::<Result<Vec<_>>>()?
        .into_iter()
        .try_for_each(AnyClient::close)?;
    let allowance = Allowance {
        descriptors: 2,
        memory_kib: ALLOWANCE_KIB,
    };
    let backend = Backend::new()?;
    ensure_flat(&httpd, 600, allowance, |number| {
        serve_one(open()?, &backend, number)
    })
}

/// A client that goes while a callback waits, one whose messages are handled after it has closed,
/// or one that is answered.
fn serve_one(mut client: AnyClient, backend: &Backend, number: u32) -> Result<()> {
    client.text(format!("ask {} something", backend.port()?))?;
    let question = backend.question()?;
    match number % 3 {
        0 => {
            drop(client);
            question.expect_cancelled()
        }
        1 => {
            client.close()?;
            question.answer("an answer for nobody")
        }
        _ => {
            question.answer("answer")?;
            client.expect_text("answer")?;
            client.close()
        }
    }
}
