//! What the clients of a soak do, one connection after the other.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::server_root::Mpm;

use super::room::room;
use super::stage::{Stage, count};
use super::talker::{Message, Talker, Way};
use crate::endurance::cycle;
use crate::status::pages;
use crate::support::frame::masked;
use crate::support::random::Random;
use crate::support::{Client, Driver, Frame, Handshake, Opcode};
use crate::swarm::Received;

/// One kind of client.
pub(super) struct Player {
    pub(super) name: &'static str,
    /// How many of them there are at a time.
    pub(super) count: u64,
    /// Opens a connection, uses it and ends it.
    pub(super) play: fn(&Stage<'_>, &mut Random) -> Result<()>,
}

macro_rules! players {
    ($($count:literal $name:literal => $play:path),* $(,)?) => {
        &[$(Player { name: $name, count: $count, play: $play }),*]
    };
}

pub(super) const PLAYERS: &[Player] = players! {
    5 "a client that stays for a while" => visitor,
    4 "a client that stays until the end" => survivor,
    1 "a slow client" => slow,
    1 "a silent client" => silent,
    1 "a client that answers no pings" => mute,
    1 "a client that is closed when its process is replaced" => brief,
    2 "clients of a room" => room,
    1 "a client of many threads" => swarm,
    2 "a client that comes and goes" => passenger,
    1 "a client of pages" => reader,
};

/// A client of any kind, and which one that is.
fn any_echo(stage: &Stage<'_>, random: &mut Random) -> Result<(String, Talker)> {
    let way = Way::any(stage, random)?;
    let is_event = stage.context.driver == Driver::Event;
    let (way, target) = match random.below(4) {
        0 => (way, "/compressed"),
        1 => (way, "/compressed/own"),
        2 if is_event => (Way::Plain, "/detached"),
        _ => (way, "/echo"),
    };
    let compresses = target.starts_with("/compressed");
    let talker = Talker::open(stage, way, target, compresses)?;
    Ok((format!("{way:?}, {target}"), talker))
}

fn visitor(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    let (kind, mut talker) = any_echo(stage, random)?;
    for _ in 0..random.below(10) {
        talker.exchange(stage, random).context(kind.clone())?;
        stage.pause(stage.pause / 4);
    }
    talker.close().context(kind)
}

fn survivor(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    let (kind, mut talker) = any_echo(stage, random)?;
    while !stage.is_over() {
        talker.exchange(stage, random).context(kind.clone())?;
        stage.pause(Duration::from_millis(200));
    }
    talker.close().context(kind)
}

fn slow(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    const LENGTH: usize = 60_000;
    // As much as the server lets wait for a client before it reads no more.
    const COUNT: usize = 16;
    let way = [Way::Plain, Way::Tls][random.below(2)];
    let mut talker = Talker::open_small(stage, way, "/echo")?;
    let messages: Vec<_> = (0..COUNT)
        .map(|_| Message::binary(random.bytes(LENGTH)))
        .collect();
    for message in &messages {
        talker.send(message)?;
    }
    for message in &messages {
        stage.pause(Duration::from_millis(50)); // the client's pace
        talker.expect(message)?;
        count(&stage.tally.messages);
    }
    talker.close()
}

fn silent(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    let (kind, mut talker) = any_echo(stage, random)?;
    for _ in 0..=random.below(2) {
        let ping = talker.client().frame()?;
        ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
        talker.client().send(masked(Opcode::PONG, ping.payload))?;
        count(&stage.tally.pings);
    }
    talker.exchange(stage, random).context(kind)?;
    talker.close()
}

fn mute(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    let way = Way::any(stage, random)?;
    let mut talker = Talker::open(stage, way, "/mute", false)?;
    let client = talker.client();
    let ping = client.frame()?;
    ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
    count(&stage.tally.pings);
    let close = client.frame()?;
    ensure!(
        close == Frame::new(Opcode::CLOSE, b"\x03\xF3ping timeout"),
        "{close:?}"
    );
    client.expect_end()
}

fn brief(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    const LIFE: Duration = Duration::from_secs(8);
    let way = Way::any(stage, random)?;
    let mut talker = Talker::open(stage, way, "/brief", false)?;
    let began = Instant::now();
    while began.elapsed() < LIFE && !stage.is_over() {
        stage.pause(Duration::from_millis(20));
        let client = talker.client();
        client.text("still here")?;
        let frame = client.frame_behind_pings()?;
        if frame == Frame::text("still here") {
            count(&stage.tally.messages);
            continue;
        }
        ensure!(is_drained(stage, &frame), "{frame:?}");
        client.send(masked(Opcode::CLOSE, 1012_u16.to_be_bytes()))?;
        return client.expect_end();
    }
    // The process may close the connection at the same moment.
    let answer = talker.end()?;
    let is_closed = answer == Frame::close(1000) || is_drained(stage, &answer);
    ensure!(is_closed, "in answer to a close frame: {answer:?}");
    Ok(())
}

/// Whether the server closes the connection because its process is being replaced. Counts it.
fn is_drained(stage: &Stage<'_>, frame: &Frame) -> bool {
    let is_drained = stage.restarts && *frame == Frame::close(1012);
    if is_drained {
        count(&stage.tally.drained);
    }
    is_drained
}

fn swarm(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    const SENDERS: u32 = 3;
    const COUNT: u32 = 5;
    let way = [Way::Plain, Way::Tls][random.below(2)];
    let mut talker = Talker::open(stage, way, "/swarm", false)?;
    let client = talker.client();
    client.text(format!("{SENDERS} {COUNT} {COUNT} 0"))?;
    let mut received = Received::from(SENDERS as usize + 1);
    while received.total() < (SENDERS + 1) * COUNT {
        received.take(&client.frame_behind_pings()?)?;
        count(&stage.tally.messages);
    }
    client.echo("still there")?;
    talker.close()
}

fn passenger(stage: &Stage<'_>, random: &mut Random) -> Result<()> {
    for _ in 0..20 {
        let number = stage.tally.next.fetch_add(1, Ordering::Relaxed);
        let is_answered = if random.below(2) == 0 {
            cycle(Client::connect(stage.httpd.address())?, number)
        } else {
            cycle(Client::connect_tls(stage.httpd)?, number)
        };
        if is_answered.with_context(|| format!("connection {number}, of kind {}", number % 6))? {
            count(&stage.tally.answered);
        }
    }
    Ok(())
}

fn reader(stage: &Stage<'_>, _random: &mut Random) -> Result<()> {
    for query in ["", "?format=json", "?format=openmetrics", "?probe=live"] {
        pages::get(stage.httpd, query)?;
    }
    if stage.context.mpm != Mpm::Prefork {
        let (head, _) = pages::ask(stage.httpd, "GET", "?probe=ready")?;
        // A child that accepted the connection in its last moment says that it is draining.
        let is_ready = head.starts_with("HTTP/1.1 200 ");
        ensure!(is_ready || stage.restarts, "{head}");
    }
    let mut client = Client::connect(stage.httpd.address())?;
    client.send(Handshake::to("/absent").to_bytes())?;
    let response = client.response()?;
    if response.status != 404 {
        bail!("{response:?}");
    }
    Ok(())
}
