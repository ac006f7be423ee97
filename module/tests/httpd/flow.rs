//! Flow control: plugins that pause their clients, and that hear of room in a full queue.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use xtask::server_root::Mpm;

use crate::keepalive::ways::on_all_ways_to;
use crate::rust::{attached_and_detached, location};
use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::wire::AnyClient;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases};

cases! {
    "messages of a paused client wait, and come in order when the plugin resumes" => resumed,
    "a pause in on_connect keeps the first message waiting" => early,
    "a paused client that sends more has to wait, and nothing of it is lost" => held_up,
    "a paused client is pinged, and silence does not end its connection" => silence,
    "a paused connection closes with a handshake and delivers no more messages" => closed,
    "WebSocketMaxLifetime closes a paused connection with a handshake" => lifetime,
    "a plugin hears once when a full queue has room again" => drained,
    "a restart closes a paused connection with a handshake" => restarted,
}

const TARGETS: [&str; 2] = ["/valve", "/valve_detached"];

/// A file that tells the plugin to go on. Dropping it removes the file.
struct Sign(PathBuf);

impl Sign {
    fn new(context: &Context) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(context.plugins().dir().join(format!("sign-{number}")))
    }

    /// Gives the plugin this command, and waits until the client is paused.
    fn pause<S: std::io::Read + Write>(&self, client: &mut Client<S>, command: &str) -> Result<()> {
        client.text(format!("{command} {}", self.0.display()))?;
        client.expect_text("paused")
    }

    fn show(&self) -> Result<()> {
        Ok(fs::write(&self.0, "")?)
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        // It may never have been shown.
        let _ = fs::remove_file(&self.0);
    }
}

fn on_all_ways(
    context: &Context,
    config: &str,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    let config = attached_and_detached(context, "valve", "") + config;
    on_all_ways_to(context, &config, TARGETS, body)
}

fn resumed(context: &Context) -> Result<()> {
    on_all_ways(context, "", |client| {
        for _ in 0..3 {
            let sign = Sign::new(context);
            // What follows the pause may be read together with it.
            let mut all = masked(Opcode::TEXT, format!("pause {}", sign.0.display()));
            all.extend(masked(Opcode::TEXT, "a"));
            all.extend(masked(Opcode::PING, "b"));
            client.send(all)?;
            client.expect_text("paused")?;
            client.text("c")?;
            sign.show()?;
            client.expect_text("resuming")?;
            client.expect_text("a")?;
            client.expect(&Frame::pong("b"))?;
            client.expect_text("c")?;
        }
        Ok(())
    })
}

fn early(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .config(location(context, "/valve", "valve", ""))
        .start()?;
    let sign = Sign::new(context);
    let handshake = Handshake::to("/valve").header("X-Early", &sign.0.display().to_string());
    let mut client = Client::open(httpd.address(), &handshake)?;
    client.text("first")?;
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(100)))?;
    ensure!(client.frame().is_err(), "the message did not wait");
    client.stream.set_read_timeout(Some(PATIENCE))?;
    sign.show()?;
    client.expect_text("first")
}

fn held_up(context: &Context) -> Result<()> {
    /// Far more than the buffers of the system hold.
    const MOST: usize = 64;
    let httpd = context
        .root()?
        .config(location(context, "/valve", "valve", ""))
        .start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/valve"))?;
    let sign = Sign::new(context);
    sign.pause(&mut client, "pause")?;
    let payload = |number: usize| vec![u8::try_from(number).unwrap_or(0); 1 << 20];
    let mut bytes: Vec<u8> = (0..MOST)
        .flat_map(|number| masked(Opcode::BINARY, payload(number)))
        .collect();
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))?;
    while !bytes.is_empty() {
        match client.stream.write(&bytes) {
            Ok(written) => drop(bytes.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => bail!(error),
        }
    }
    ensure!(!bytes.is_empty(), "a paused client could send everything");
    let mut other = Client::open(httpd.address(), &Handshake::to("/valve"))?;
    other.echo("served meanwhile")?;
    sign.show()?;
    client.stream.set_write_timeout(None)?;
    let mut writer = client.stream.try_clone()?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || writer.write_all(&bytes));
        client.expect_text("resuming")?;
        for number in 0..MOST {
            client.expect(&Frame::binary(payload(number)))?;
        }
        Ok(writing.join().expect("it does not panic")?)
    })
}

fn silence(context: &Context) -> Result<()> {
    const PINGS: usize = 3;
    let config = "WebSocketPingInterval 300ms\nWebSocketPingTimeout 700ms\n\
        WebSocketIdleTimeout 1s\nWebSocketMessageTimeout 1s\n";
    on_all_ways(context, config, |client| {
        let sign = Sign::new(context);
        sign.pause(client, "pause")?;
        // Half a message, whose rest comes late.
        client.send(masked(0x01, "half"))?;
        for _ in 0..PINGS {
            let ping = client.frame()?;
            ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
        }
        client.send(masked(0x80, " and half"))?;
        sign.show()?;
        for expected in ["resuming", "half and half"] {
            let frame = client.frame_behind_pings()?;
            ensure!(frame == Frame::text(expected), "{frame:?}");
        }
        Ok(())
    })
}

fn closed(context: &Context) -> Result<()> {
    on_all_ways(context, "", |client| {
        let sign = Sign::new(context);
        sign.pause(client, "leave")?;
        client.text("late")?;
        sign.show()?;
        client.expect(&Frame::close(1000))?;
        client.text("later")?;
        client.send(masked(Opcode::CLOSE, b"\x03\xe8"))?;
        client.expect_end()
    })
}

fn lifetime(context: &Context) -> Result<()> {
    on_all_ways(context, "WebSocketMaxLifetime 1s\n", |client| {
        let sign = Sign::new(context);
        sign.pause(client, "pause")?;
        client.text("late")?;
        client.expect(&Frame::new(Opcode::CLOSE, b"\x03\xF4maximum lifetime"))?;
        client.send(masked(Opcode::CLOSE, b"\x03\xF4"))?;
        client.expect_end()
    })
}

fn drained(context: &Context) -> Result<()> {
    on_all_ways(context, "", |client| {
        for _ in 0..2 {
            let journal = Journal::new(context)?;
            client.text(format!("fill {}", journal.path().display()))?;
            journal.wait_for("full")?;
            let mut frame = client.frame_behind_pings()?;
            while frame.first_byte == Opcode::BINARY {
                frame = client.frame_behind_pings()?;
            }
            ensure!(frame == Frame::text("drained"), "{frame:?}");
            client.echo("after that")?;
        }
        Ok(())
    })
}

fn restarted(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        // A hard restart ends its children at once.
        return Ok(());
    }
    let httpd = context
        .root()?
        .config(location(context, "/valve", "valve", ""))
        .start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/valve"))?;
    let sign = Sign::new(context);
    sign.pause(&mut client, "pause")?;
    client.text("late")?;
    // The server waits for a second only for the answer to its close frame.
    let answered = std::thread::spawn(move || {
        client.expect(&Frame::close(1012))?;
        client.send(masked(Opcode::CLOSE, b"\x03\xF4"))?;
        client.expect_end()
    });
    httpd.restart()?;
    answered.join().expect("it does not panic")?;
    let line = "[Valve] gone: closed by the server (drain) with code 1012, clean: true";
    httpd.wait_for_log(line, PATIENCE)?;
    Ok(())
}
