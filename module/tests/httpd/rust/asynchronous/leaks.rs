//! What connections leave behind.

use anyhow::{Result, ensure};
use xtask::port::free_port;
use xtask::server_root::{Mpm, Sizing};
use xtask::soak::Footprint;

use super::backend::Backend;
use super::runtime_threads;
use crate::rust::{location, open};
use crate::support::server::ensure_healthy;
use crate::support::wire::{AnyClient, any};
use crate::support::{Client, Context, Driver, Handshake, cases};

cases! {
    "async plugins: a thousand connections leave nothing" => nothing_left,
    "async plugins: connections over TLS and detached ones leave nothing" => nothing_left_elsewhere,
}

/// The number of threads for WebSockets of an idle child.
const THREADS: usize = 2;

/// What a child that `Footprint` can measure needs.
fn measurable() -> String {
    format!("KeepAliveTimeout 100ms\nWebSocketThreads {THREADS} 4\n")
}

fn nothing_left(context: &Context) -> Result<()> {
    /// The memory in KiB by which a process may grow.
    const ALLOWANCE_KIB: u64 = 2048;
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
    let cycles = |from: u32, to: u32| {
        for number in from..to {
            let mut client = open(&httpd, "/waiter")?;
            if number % 2 == 0 {
                client.text(format!("ask {port} something"))?;
                let question = backend.question()?;
                if number % 4 == 0 {
                    client.reset()?;
                    question.expect_cancelled()?;
                    continue;
                }
                question.answer("answer")?;
                client.expect_text("answer")?;
            }
            client.echo("hello")?;
            client.close()?;
        }
        anyhow::Ok(())
    };
    cycles(0, count / 3)?;
    let before = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    cycles(count / 3, count)?;
    let after = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    ensure!(after.1 <= before.1, "{before:?}, {after:?}");
    after.0.ensure_flat_since(&before.0, ALLOWANCE_KIB)?;
    ensure_healthy(&httpd.error_log()?)
}

fn nothing_left_elsewhere(context: &Context) -> Result<()> {
    /// The memory in KiB by which a process may grow. TLS makes the heap's busiest moment vary.
    const ALLOWANCE_KIB: u64 = 4096;
    const COUNT: u32 = 900;
    if context.driver != Driver::Event {
        return Ok(());
    }
    let config = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/detached", "waiter", "WebSocketDetach On"),
        measurable(),
    ];
    let sizing = Sizing {
        processes: 1,
        threads: 8,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(config.concat())
        .tls_port(free_port()?)
        .start()?;
    let backend = Backend::new()?;
    let cycles = |from: u32, to: u32| {
        for number in from..to {
            let client = if number % 2 == 0 {
                any(Client::open_tls(&httpd, &Handshake::to("/waiter"))?)
            } else {
                any(open(&httpd, "/detached")?)
            };
            serve_one(client, &backend, number / 2)?;
        }
        anyhow::Ok(())
    };
    cycles(0, COUNT / 3)?;
    let before = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    cycles(COUNT / 3, COUNT)?;
    let after = (
        Footprint::at_rest(&httpd, THREADS)?,
        runtime_threads(&httpd)?,
    );
    ensure!(after.1 <= before.1, "{before:?}, {after:?}");
    after.0.ensure_flat_since(&before.0, ALLOWANCE_KIB)?;
    ensure_healthy(&httpd.error_log()?)
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
