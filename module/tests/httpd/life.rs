//! How connections end, and what they cost meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};
use xtask::process::cpu_ticks;

/// The longest time until the plugin gets `on_disconnect` after its client has left.
const PROMPT: Duration = Duration::from_secs(4);

cases! {
    "on_disconnect is called once, however the client leaves" => disconnects,
    "a client that only reads still gets the answers" => half_closed,
    "a client that ignores a close frame is dropped after 5 seconds" => ignores_close,
    "a client that keeps sending after a close frame is dropped, too" => floods_after_close,
    "idle connections cost no processor time" => idle,
    "mod_reqtimeout does not end an idle connection" => request_timeout,
}

fn disconnects(context: &Context) -> Result<()> {
    type End = fn(Client) -> Result<()>;
    let ends: &[(&str, End)] = &[
        ("a close frame", Client::close),
        ("the end without a close frame", |client| {
            drop(client);
            Ok(())
        }),
        ("a reset", Client::reset),
        ("half a close", |client| client.half_close()),
        ("a reset in the middle of a frame", |mut client| {
            client.send(&masked(Opcode::TEXT, "half a frame")[..9])?;
            client.reset()
        }),
        ("the end in the middle of a message", |mut client| {
            client.send(masked(Opcode::FIRST_TEXT, "half a message"))
        }),
        ("a mistake", |mut client| {
            client.send(masked(0x83, "")).map(drop)
        }),
        ("a reset with answers under way", |mut client| {
            client.send(masked(Opcode::BINARY, vec![0; 1 << 20]))?;
            client.reset()
        }),
    ];
    for (name, end) in ends {
        let journal = Journal::new(context)?;
        let mut client = context.open_with(&journal.handshake("/journal"))?;
        client.echo("hello")?;
        end(client)?;
        journal
            .expect_one_disconnect(PROMPT)
            .map_err(|error| error.context(*name))?;
    }
    Ok(())
}

fn half_closed(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    let payload = vec![7; 8 << 20];
    client.send(
        [
            masked(Opcode::TEXT, "one"),
            masked(Opcode::BINARY, &payload),
        ]
        .concat(),
    )?;
    client.half_close()?;
    client.expect_text("one")?;
    client.expect(&Frame::binary(&payload))?;
    client.expect_end()
}

fn ignores_close(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let mut silent = context.open("/kitchen_sink")?;
    let mut talking = context.open_with(&journal.handshake("/late"))?;
    silent.text("close")?;
    silent.expect(&Frame::new(Opcode::CLOSE, ""))?;
    let started = Instant::now();
    silent.expect_end()?;
    let took = started.elapsed();
    ensure!((3..10).contains(&took.as_secs()), "dropped after {took:?}");
    talking.expect_text("chatter")?;
    drop(talking);
    journal.expect_one_disconnect(PROMPT)
}

fn floods_after_close(context: &Context) -> Result<()> {
    let mut client = context.open("/kitchen_sink")?;
    client.text("close")?;
    client.expect(&Frame::new(Opcode::CLOSE, ""))?;
    // The plugin answers each message, in vain.
    let flood = masked(Opcode::BINARY, vec![0; 60_000]).repeat(8);
    let started = Instant::now();
    while client.send(&flood).is_ok() {
        ensure!(started.elapsed() < Duration::from_secs(12), "still served");
    }
    Ok(())
}

fn idle(context: &Context) -> Result<()> {
    let httpd = context.start_small(32, "")?;
    let clients = (0..20)
        .map(|_| {
            let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
            client.echo("hello")?;
            Ok(client)
        })
        .collect::<Result<Vec<_>>>()?;
    let ticks = || {
        httpd
            .child_pids()?
            .into_iter()
            .map(cpu_ticks)
            .sum::<Result<u64>>()
    };
    // The smallest value of three seconds, because httpd itself works now and then.
    let mut least = u64::MAX;
    for _ in 0..3 {
        let before = ticks()?;
        std::thread::sleep(Duration::from_secs(1)); // the measured time
        least = least.min(ticks()?.saturating_sub(before));
    }
    ensure!(least <= 1, "{least} ticks in a second");
    drop(clients);
    Ok(())
}

fn request_timeout(context: &Context) -> Result<()> {
    let httpd =
        context.start("RequestReadTimeout header=1 body=1\nTimeout 1\nKeepAliveTimeout 1\n")?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(2500)))?;
    ensure!(
        client.next_frame().is_err(),
        "something came while nothing was asked for"
    );
    client
        .stream
        .set_read_timeout(Some(crate::support::PATIENCE))?;
    client.echo("still here")?;
    client.close()
}
