//! What tasks do with a full queue.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use super::{on_all_ways, runtime_statuses, start};
use crate::keepalive::ways::on_all_ways_to;
use crate::rust::{attached_and_detached, open};
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases, wait_until};

cases! {
    "async plugins: on_drain is called when a full queue has room" => drained,
    "async plugins: send_async sleeps until a slow client makes room" => sleeping,
    "async plugins: send_async does not wait for a message whose writer is lost" => lost_writer,
    "async plugins: send_async in on_connect does not wait for room" => greeting,
}

fn drained(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        client.text("fill")?;
        loop {
            let frame = client.frame_behind_pings()?;
            if frame.first_byte == Opcode::TEXT {
                ensure!(frame.payload == b"drained", "{frame:?}");
                return client.echo("again");
            }
        }
    })
}

fn sleeping(context: &Context) -> Result<()> {
    /// Far more messages than the buffers of the system hold.
    const COUNT: usize = 1000;
    let httpd = start(context)?;
    let mut client = Client::connect_with_buffer(httpd.address(), 1 << 16)?;
    client.upgrade(&Handshake::to("/waiter"))?;
    client.text(format!("flood {COUNT}"))?;
    client.text("behind the flood")?;
    // The queue is full when nothing more happens.
    let mut before = 0;
    wait_until("the runtime sleeps", || {
        let last = std::mem::replace(&mut before, runtime_switches(&httpd)?);
        thread::sleep(Duration::from_millis(300));
        Ok(last == before && before > 0)
    })?;
    let mut bytes = 0;
    while bytes < COUNT * (64 << 10) {
        let frame = client.frame_behind_pings()?;
        ensure!(
            frame.first_byte == Opcode::BINARY,
            "{bytes} bytes, then {frame:?}"
        );
        bytes += frame.payload.len();
    }
    client.expect_text("behind the flood")?;
    client.close()?;
    ensure_healthy(&httpd.error_log()?)
}

/// How often threads of the runtime have gone to sleep.
fn runtime_switches(httpd: &Httpd) -> Result<u64> {
    let mut sum = 0;
    for (_, status) in runtime_statuses(httpd)? {
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += count.context("no count")?.trim().parse::<u64>()?;
    }
    Ok(sum)
}

fn lost_writer(context: &Context) -> Result<()> {
    let config = format!(
        "Timeout 1\n{}",
        attached_and_detached(context, "waiter", "")
    );
    let targets = ["/waiter", "/waiter_detached"];
    on_all_ways_to(context, &config, targets, |client| {
        client.text("lose")?;
        client.expect(&Frame::new(Opcode::CLOSE, b"\x03\xf3incomplete message"))
    })
}

fn greeting(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut client = open(&httpd, "/waiter?greet=2")?;
    for _ in 0..2 {
        let frame = client.frame_behind_pings()?;
        ensure!(frame.payload.len() == 64 << 10, "{frame:?}");
    }
    client.close()?;
    let response = Client::ask(httpd.address(), &Handshake::to("/waiter?greet=1000"))?;
    ensure!(response.status == 429, "{response:?}");
    ensure_healthy(&httpd.error_log()?)
}
