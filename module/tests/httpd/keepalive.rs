//! Pings, and connections that end because nothing comes.

pub(crate) mod settings;
pub(crate) mod ways;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};
use ways::{on_all_ways, on_sockets, start};

cases! {
    "a silent client is pinged, and lives if it answers" => answers,
    "a client that answers no ping is closed with 1011 after interval and timeout" => silent,
    "a client that takes a long message slowly is not cut off, although it answers no ping" => slow,
    "a client that takes nothing is gone after interval and timeout, whatever Timeout says"
        => stuck,
    "with WebSocketPingInterval Off there are no pings" => off,
    "a connection without messages is closed with 1001 after WebSocketIdleTimeout" => idle,
    "messages in either direction keep a connection from being idle, and pings do not" => active,
    "WebSocketMaxLifetime closes with 1012, however busy the connection is" => lifetime,
}

/// Longer than a busy machine delays anything.
const PATIENCE: Duration = Duration::from_secs(8);

fn answers(context: &Context) -> Result<()> {
    let config = "WebSocketPingInterval 300ms\nWebSocketPingTimeout 4s\n";
    on_all_ways(context, config, |client| {
        for _ in 0..4 {
            let ping = client.frame()?;
            ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
            client.send(masked(Opcode::PONG, ping.payload))?;
        }
        client.text("still here")?;
        client.expect_text("still here")
    })
}

fn silent(context: &Context) -> Result<()> {
    let config = "WebSocketPingInterval 400ms\nWebSocketPingTimeout 600ms\n";
    on_all_ways(context, config, |client| {
        let started = Instant::now();
        let ping = client.frame()?;
        ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
        let close = client.frame()?;
        ensure!(
            close == Frame::new(Opcode::CLOSE, b"\x03\xF3ping timeout"),
            "{close:?}"
        );
        client.expect_end()?;
        let took = started.elapsed();
        ensure!(took > Duration::from_millis(900), "after {took:?}");
        ensure!(took < PATIENCE, "after {took:?}");
        Ok(())
    })
}

/// Long enough to fill all buffers on the way.
const LONG: u32 = 8 << 20;

/// How long the client takes for it.
const TAKES: Duration = Duration::from_secs(3);

fn slow(context: &Context) -> Result<()> {
    let config = "WebSocketPingInterval 200ms\nWebSocketPingTimeout 1s\n";
    // To mask it may take longer than a silent client is waited for.
    let message = masked(Opcode::BINARY, vec![b'x'; LONG as usize]);
    on_sockets(context, config, |client| {
        client.send(&message)?;
        // The pings wait behind the answer.
        let started = Instant::now();
        let mut taken = 0;
        while taken < LONG {
            let outcome = || format!("after {taken} bytes and {:?}", started.elapsed());
            let read = client
                .stream
                .read(&mut [0; 1 << 15])
                .with_context(outcome)?;
            ensure!(read > 0, "cut off {}", outcome());
            taken += u32::try_from(read)?;
            let due = TAKES * (taken >> 10) / (LONG >> 10);
            thread::sleep(due.saturating_sub(started.elapsed())); // the client's pace
        }
        ensure!(started.elapsed() >= TAKES);
        Ok(())
    })
}

fn stuck(context: &Context) -> Result<()> {
    let config = "Timeout 60\nWebSocketPingInterval 300ms\nWebSocketPingTimeout 500ms\n";
    let httpd = start(context, config)?;
    let journal = Journal::new(context)?;
    let handshake = journal.handshake("/journal").header("X-Stream", "1000000");
    let _lazy = Client::open(httpd.address(), &handshake)?;
    journal.expect_one_disconnect(PATIENCE)
}

fn off(context: &Context) -> Result<()> {
    let config = "WebSocketPingInterval Off\nWebSocketPingTimeout 100ms\n";
    on_all_ways(context, config, |client| {
        thread::sleep(Duration::from_millis(700)); // longer than any of the times
        client.text("hello")?;
        client.expect_text("hello")
    })
}

fn idle(context: &Context) -> Result<()> {
    let config = "WebSocketPingInterval 200ms\nWebSocketIdleTimeout 1s\n";
    on_all_ways(context, config, |client| {
        let started = Instant::now();
        loop {
            let frame = client.frame()?;
            match frame.first_byte {
                // Neither keeps it open.
                Opcode::PING => client.send(masked(Opcode::PONG, frame.payload))?,
                Opcode::CLOSE => {
                    ensure!(frame.payload == b"\x03\xE9idle timeout", "{frame:?}");
                    client.send(masked(Opcode::CLOSE, frame.payload))?;
                    break client.expect_end()?;
                }
                _ => bail!("{frame:?}"),
            }
        }
        let took = started.elapsed();
        ensure!(took > Duration::from_millis(900), "after {took:?}");
        ensure!(took < PATIENCE, "after {took:?}");
        Ok(())
    })
}

fn active(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketIdleTimeout 1s\n")?;
    // The plugin sends, and the client sends nothing.
    let mut listener = Client::open(httpd.address(), &Handshake::to("/late"))?;
    let mut speaker = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        listener.expect_text("chatter")?;
        speaker.echo("hello")?;
    }
    Ok(())
}

fn lifetime(context: &Context) -> Result<()> {
    let config = "WebSocketMaxLifetime 1s\n";
    on_all_ways(context, config, |client| {
        let started = Instant::now();
        loop {
            client.text("busy")?;
            let frame = client.frame()?;
            if frame.first_byte == Opcode::CLOSE {
                ensure!(frame.payload == b"\x03\xF4maximum lifetime", "{frame:?}");
                break;
            }
            ensure!(frame == Frame::text("busy"), "{frame:?}");
        }
        let took = started.elapsed();
        ensure!(took > Duration::from_millis(800), "after {took:?}");
        ensure!(took < PATIENCE, "after {took:?}");
        Ok(())
    })
}
