//! Async plugins.

mod backend;
pub(crate) mod callbacks;
pub(crate) mod ends;
pub(crate) mod handshakes;
pub(crate) mod leaks;
pub(crate) mod runtime;
pub(crate) mod sending;
pub(crate) mod ticks;

use std::net::SocketAddr;
use std::thread;

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;

use crate::keepalive::ways::on_all_ways_of;
use crate::rust::location;
use crate::support::wire::AnyClient;
use crate::support::{Client, Context, Handshake};
use backend::Backend;

fn start(context: &Context) -> Result<Httpd> {
    context.start_small(8, &location(context, "/waiter", "waiter", ""))
}

/// Connects a client of whose end the backend is told.
fn open_told(address: SocketAddr, backend: &Backend) -> Result<Client> {
    let target = format!("/waiter?ask={}", backend.port()?);
    let client = thread::spawn(move || Client::open(address, &Handshake::to(&target)));
    backend.question()?.answer("yes")?;
    client.join().expect("it does not panic")
}

fn expect_gone(backend: &Backend, code: u16) -> Result<()> {
    let question = backend.question()?;
    ensure!(question.text == format!("gone {code}"), "{}", question.text);
    question.answer("thanks")
}

/// Runs `body` with a client of each kind: plain, over TLS, detached, over HTTP/2.
fn on_all_ways(
    context: &Context,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    on_all_ways_of(context, "waiter", "", body)
}

/// The process and the status of each thread of a runtime.
fn runtime_statuses(httpd: &Httpd) -> Result<Vec<(u32, String)>> {
    let mut statuses = Vec::new();
    for pid in httpd.child_pids()? {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // It may have ended meanwhile.
            let status = std::fs::read_to_string(thread?.path().join("status"));
            statuses.extend(status.ok().map(|status| (pid, status)));
        }
    }
    statuses.retain(|(_, status)| status.starts_with("Name:\tws Waiter\n"));
    Ok(statuses)
}

/// The most threads that the runtime of a child has. Prefork may start children at any time.
fn runtime_threads(httpd: &Httpd) -> Result<usize> {
    let statuses = runtime_statuses(httpd)?;
    let of_child = |pid: u32| statuses.iter().filter(|(of, _)| *of == pid).count();
    Ok(statuses
        .iter()
        .map(|(pid, _)| of_child(*pid))
        .max()
        .unwrap_or(0))
}
