//! Callbacks that block, for a while or for ever.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::process::threads;

use crate::support::journal::Journal;
use crate::support::{Client, Context, Driver, Frame, Handshake, cases};

/// The longest time that counts as prompt while something else blocks for ever.
const PROMPT: Duration = Duration::from_secs(5);

cases! {
    "a blocked callback delays no other connection" => others_go_on,
    "a blocked on_connect delays no other connection" => blocked_on_connect,
    "a message sent before a callback blocks arrives while it blocks" => sent_before,
    "a message that a callback sends between two blocks arrives while it blocks" => sent_between,
    "a large message sent before a callback blocks arrives in full" => large_before,
    "messages of other threads arrive while a callback blocks" => sent_meanwhile,
    "a large message sent while a callback blocks arrives in full" => large_meanwhile,
    "httpd stops although callbacks are blocked for ever" => stop,
    "a message that a callback sends goes out while the callback computes"
        => sending_before_computing,
    "callbacks that compute get no more threads than WebSocketThreads allows" => computing,
    "a callback that computes for long delays other plugins only briefly"
        => computing_with_all_in_use,
    "a blocked on_disconnect delays no other connection" => blocked_on_disconnect,
}

fn others_go_on(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut client = Client::open(httpd.address(), &Handshake::to("/stuck"))?;
        client.text("block")?;
        stuck.push(client);
    }
    for _ in 0..3 {
        let started = Instant::now();
        let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
        client.echo("hello")?;
        client.close()?;
        ensure!(started.elapsed() < PROMPT, "took {:?}", started.elapsed());
    }
    let mut client = Client::open(httpd.address(), &Handshake::to("/kitchen_sink"))?;
    client.text("block 300")?;
    client.text("echo after")?;
    client.expect_text("unblocked")?;
    client.expect_text("after")
}

fn blocked_on_connect(context: &Context) -> Result<()> {
    let mut blocked = Client::connect(context.address()?)?;
    blocked.send(
        Handshake::to("/kitchen_sink")
            .header("X-Block", "700")
            .to_bytes(),
    )?;
    let started = Instant::now();
    let mut client = context.open("/kitchen_sink")?;
    client.text("echo hello")?;
    client.expect_text("hello")?;
    ensure!(
        started.elapsed() < Duration::from_millis(700),
        "took {:?}",
        started.elapsed()
    );
    ensure!(blocked.response()?.status == 101);
    blocked.text("echo here")?;
    blocked.expect_text("here")
}

fn stuck(context: &Context, header: &str, value: usize) -> Result<Client> {
    let handshake = Handshake::to("/stuck").header(header, &value.to_string());
    let mut client = context.open_with(&handshake)?;
    client.text("block")?;
    client.stream.set_read_timeout(Some(PROMPT))?;
    Ok(client)
}

fn expect_zeros(client: &mut Client, size: usize) -> Result<()> {
    client
        .expect(&Frame::binary(vec![0; size]))
        .context("while a callback blocks")
}

fn sent_before(context: &Context) -> Result<()> {
    expect_zeros(&mut stuck(context, "X-Before", 100)?, 100)
}

/// The first block is long enough for another thread to take over the loop.
fn sent_between(context: &Context) -> Result<()> {
    let handshake = Handshake::to("/stuck")
        .header("X-Pause", "100")
        .header("X-Before", "100");
    let mut client = context.open_with(&handshake)?;
    client.text("block")?;
    client.stream.set_read_timeout(Some(PROMPT))?;
    expect_zeros(&mut client, 100)
}

fn large_before(context: &Context) -> Result<()> {
    const SIZE: usize = 12 << 20;
    expect_zeros(&mut stuck(context, "X-Before", SIZE)?, SIZE)
}

fn sent_meanwhile(context: &Context) -> Result<()> {
    let mut client = stuck(context, "X-Ticks-Each", 5)?;
    for _ in 0..20 {
        client.expect_text("tick")?;
    }
    Ok(())
}

fn large_meanwhile(context: &Context) -> Result<()> {
    const SIZE: usize = 12 << 20;
    expect_zeros(&mut stuck(context, "X-Ticks", SIZE)?, SIZE)
}

fn stop(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let mut idle = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let mut client = Client::open(
        httpd.address(),
        &Handshake::to("/stuck").header("X-Before", "1"),
    )?;
    client.text("block")?;
    expect_zeros(&mut client, 1)?;
    let started = Instant::now();
    ensure!(httpd.stop()?.success());
    ensure!(
        started.elapsed() < Duration::from_secs(12),
        "took {:?}",
        started.elapsed()
    );
    idle.drain()?;
    client.drain().map(drop)
}

fn blocked_on_disconnect(context: &Context) -> Result<()> {
    let mut lingering = context.open("/kitchen_sink")?;
    lingering.text("linger 700")?;
    lingering.expect_text("lingering")?;
    drop(lingering);
    let journal = Journal::new(context)?;
    let started = Instant::now();
    let mut client = context.open_with(&journal.handshake("/journal"))?;
    client.echo("hello")?;
    client.close()?;
    journal.expect_one_disconnect(PROMPT)?;
    ensure!(started.elapsed() < PROMPT, "took {:?}", started.elapsed());
    Ok(())
}

fn computing(context: &Context) -> Result<()> {
    const COUNT: usize = 30;
    if context.driver == Driver::Blocking {
        return Ok(());
    }
    let httpd = context.start_small(25, "WebSocketThreads 2 4\n")?;
    let mut clients = Vec::new();
    for _ in 0..COUNT {
        clients.push(Client::open(httpd.address(), &Handshake::to("/spin"))?);
    }
    for client in &mut clients {
        client.text("60")?;
    }
    let mut most = 0;
    for client in &mut clients {
        client.expect_text("60")?;
        for pid in httpd.child_pids()? {
            most = most.max(threads(pid, "websocket")?);
        }
    }
    // The monitor may see a callback that happens to sleep. Each of the two loops then gets another
    // thread.
    ensure!(most <= 4 + 2, "{most} threads");
    Ok(())
}

fn sending_before_computing(context: &Context) -> Result<()> {
    let httpd = context.start_small(25, "WebSocketThreads 2 3\n")?;
    let open = |path| Client::open(httpd.address(), &Handshake::to(path));
    // With spare threads, and without.
    for stuck in [0, 3] {
        let mut stuck = (0..stuck)
            .map(|_| open("/stuck"))
            .collect::<Result<Vec<_>>>()?;
        for client in &mut stuck {
            client.text("block")?;
        }
        let mut spinner = open("/spin")?;
        let started = Instant::now();
        spinner.text("+4000")?;
        spinner.expect_text("+4000")?;
        let took = started.elapsed();
        ensure!(took < Duration::from_secs(4), "held back for {took:?}");
    }
    Ok(())
}

fn computing_with_all_in_use(context: &Context) -> Result<()> {
    let httpd = context.start_small(25, "WebSocketThreads 2 3\n")?;
    let open = |path| Client::open(httpd.address(), &Handshake::to(path));
    let mut stuck = [open("/stuck")?, open("/stuck")?, open("/stuck")?];
    // Each of the two loops has one of each, because connections are distributed in turn.
    let mut spinners = [open("/spin")?, open("/spin")?];
    let mut others = [open("/echo")?, open("/echo")?];
    for client in &mut stuck {
        client.text("block")?;
    }
    for client in &mut spinners {
        client.text("4000")?;
    }
    for client in &mut others {
        client.echo("hello")?;
    }
    for client in &spinners {
        client.stream.set_nonblocking(true)?;
        ensure!(
            client.stream.peek(&mut [0]).is_err(),
            "only answered when the callbacks that compute had ended"
        );
    }
    Ok(())
}
