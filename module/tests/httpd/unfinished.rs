//! Clients that begin messages and do not end them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::keepalive::ways::on_all_ways;
use crate::support::frame::masked;
use crate::support::wire::AnyClient;
use crate::support::{Context, Frame, Opcode, cases};

cases! {
    "WebSocketMessageTimeout: half a frame or message ends the connection with 1008" => stuck,
    "WebSocketMessageTimeout: a message may take any time as long as more of it arrives" => slow,
    "WebSocketMessageTimeout: pongs and empty fragments do not prolong half a message" => pongs,
    "WebSocketMessageTimeout Off keeps half a message" => off,
    "WebSocketMaxFragments: one more fragment closes with 1008, empty ones count" => fragments,
    "WebSocketMaxFragments: by default 16384 fragments are a message, and one more closes"
        => default_fragments,
    "unfinished messages: a bad value is a configuration error that says what is allowed"
        => bad_values,
    "unfinished messages: a location may set other limits than its server" => merging,
}

/// Longer than a busy machine delays anything.
const PATIENCE: Duration = Duration::from_secs(8);

fn expect_timeout(client: &mut AnyClient) -> Result<()> {
    let close = client.frame()?;
    let expected = Frame::new(Opcode::CLOSE, b"\x03\xF0message timeout");
    ensure!(close == expected, "{close:?}");
    client.expect_end()
}

fn stuck(context: &Context) -> Result<()> {
    let long = masked(Opcode::BINARY, vec![0; 100_000]);
    for half in [
        &long[..1],
        &long[..12],
        &long[..90_000],
        &masked(Opcode::PING, "ping")[..8],
        &masked(Opcode::FIRST_TEXT, "half a message"),
    ] {
        on_all_ways(context, "WebSocketMessageTimeout 500ms\n", |client| {
            let started = Instant::now();
            client.send(half)?;
            expect_timeout(client)?;
            let took = started.elapsed();
            ensure!(took >= Duration::from_millis(450), "after {took:?}");
            ensure!(took < PATIENCE, "after {took:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn slow(context: &Context) -> Result<()> {
    on_all_ways(context, "WebSocketMessageTimeout 1s\n", |client| {
        for byte in masked(Opcode::TEXT, "hello world") {
            client.send([byte])?;
            std::thread::sleep(Duration::from_millis(150)); // the client's pace
        }
        client.expect_text("hello world")
    })
}

fn pongs(context: &Context) -> Result<()> {
    on_all_ways(context, "WebSocketMessageTimeout 800ms\n", |client| {
        client.send(masked(Opcode::FIRST_TEXT, "half"))?;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(600) {
            client.send(masked(Opcode::PONG, ""))?;
            client.send(masked(Opcode::MIDDLE, ""))?;
            std::thread::sleep(Duration::from_millis(100)); // the client's pace
        }
        expect_timeout(client)?;
        let took = started.elapsed();
        ensure!(took < Duration::from_millis(1300), "after {took:?}");
        Ok(())
    })
}

fn off(context: &Context) -> Result<()> {
    on_all_ways(context, "WebSocketMessageTimeout Off\n", |client| {
        let whole = masked(Opcode::TEXT, "hello");
        client.send(&whole[..8])?;
        std::thread::sleep(Duration::from_millis(500)); // longer than the shortest timeout
        client.send(&whole[8..])?;
        client.expect_text("hello")
    })
}

fn many(count: usize, last: u8) -> Vec<u8> {
    let mut frames = masked(Opcode::FIRST_TEXT, "a");
    frames.extend(masked(Opcode::MIDDLE, "").repeat(count - 2));
    frames.extend(masked(last, "b"));
    frames
}

fn fragments(context: &Context) -> Result<()> {
    on_all_ways(context, "WebSocketMaxFragments 5\n", |client| {
        client.send(many(5, Opcode::LAST))?;
        client.expect_text("ab")?;
        client.send(many(6, Opcode::LAST))?;
        client.expect_close(1008)
    })
}

fn default_fragments(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    client.send(many(16_384, Opcode::LAST))?;
    client.expect_text("ab")?;
    client.send(many(16_385, Opcode::LAST))?;
    client.expect_close(1008)
}

fn bad_values(context: &Context) -> Result<()> {
    for (directive, words) in [
        ("WebSocketMessageTimeout 0", "from 100ms to 8760h, or Off"),
        ("WebSocketMessageTimeout soon", "or Off, not 'soon'"),
        ("WebSocketMaxFragments 0", "from 1 to 4294967295, not '0'"),
        ("WebSocketMaxFragments Off", "from 1 to 4294967295"),
    ] {
        let checked = context.root()?.config(directive).check_config()?;
        let is_explained = checked.message.contains(words);
        ensure!(
            !checked.ok && is_explained,
            "{directive}: {}",
            checked.message
        );
    }
    Ok(())
}

fn merging(context: &Context) -> Result<()> {
    let config = "WebSocketMaxFragments 3\nWebSocketMessageTimeout 400ms\n\
                  <Location /echo>\nWebSocketMaxFragments 4\n</Location>\n\
                  <Location /detached>\nWebSocketMessageTimeout Off\n</Location>\n";
    let httpd = crate::keepalive::ways::start(context, config)?;
    let open = |target| {
        let handshake = crate::support::Handshake::to(target);
        crate::support::Client::open(httpd.address(), &handshake)
    };
    let (mut echo, mut detached) = (open("/echo")?, open("/detached")?);
    echo.send(many(4, Opcode::LAST))?;
    echo.expect_text("ab")?;
    let half = masked(Opcode::FIRST_TEXT, "a");
    detached.send(&half)?;
    echo.send(&half)?;
    ensure!(
        echo.frame()?.first_byte == Opcode::CLOSE,
        "the server's timeout"
    );
    detached.send(masked(Opcode::LAST, "b"))?;
    detached.expect_text("ab")?;
    detached.send(many(4, Opcode::LAST))?;
    detached.expect_close(1008)
}
