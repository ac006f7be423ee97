//! The functions of the C interface, seen from the client.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use crate::support::frame::masked;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases, wait_until};

cases! {
    "each function of WebSocketServer does what it says" => commands,
    "headers and subprotocol set by the plugin are on the 101" => response_headers,
    "the plugin sees the subprotocols offered, in order" => subprotocols,
    "messages sent in on_connect follow the 101" => greeting,
    "variables of the request are there in on_connect, and not later" => variables,
    "messages of a plugin are neither checked nor changed" => unchecked,
    "a close frame has the payload that the plugin sends" => closes,
    "several threads may send and close at once" => threads,
    "httpd's own table of response headers can be used" => headers_out,
    "a message buffer may be changed in place" => in_place,
    "a plugin may write one byte after a message" => byte_behind,
    "a plugin may write one byte after a message that fills a whole read" => byte_behind_full_reads,
    "an impossible length is refused and has no other effect" => impossible_lengths,
    "a message of 3 MiB fits on the stack" => stack,
    "the examples count up, and reset" => dumb_increment,
    "two plugins may have init functions of the same name" => twins,
    "a library may be a module of httpd and a plugin" => both,
    "a plugin larger than version 0 is accepted" => larger,
    "a plugin in C++ exports its init function although other symbols are hidden" => cpp,
}

fn variables(context: &Context) -> Result<()> {
    let location = |path, directives| context.plugins().location(path, "variable", directives);
    let locations = location("/blue", "SetEnv COLOUR blue") + &location("/none", "");
    let root = context.root()?.stock_module("env").config(locations);
    let httpd = root.start()?;
    let response = Client::ask(httpd.address(), &Handshake::to("/none"))?;
    ensure!(response.status == 403, "{response:?}");
    let mut client = Client::open(httpd.address(), &Handshake::to("/blue"))?;
    client.text("now?")?;
    client.expect_text("none")?;
    client.close()
}

fn commands(context: &Context) -> Result<()> {
    let handshake = Handshake::to("/kitchen_sink").header("X-Asked", "for");
    let mut client = context.open_with(&handshake)?;
    for (command, answer) in [
        ("echo h\u{e9}llo", "h\u{e9}llo"),
        ("upper abc", "ABC"),
        ("empty", ""),
        ("header X-Asked", "for"),
        ("header x-asked", "for"),
        ("header X-Absent", "(none)"),
        ("protocols", "(none)"),
        ("protocol 0", "(none)"),
        ("request", "yes"),
        ("nonsense", "unknown command"),
    ] {
        client.text(command)?;
        client
            .expect_text(answer)
            .with_context(|| command.to_owned())?;
    }
    client.text("accepted 12345")?;
    client.expect_text("12345")?;
    client.expect_text("5")?;
    client.text("ping hello")?;
    client.expect(&Frame::new(Opcode::PING, "hello"))?;
    client.text("pong hello")?;
    client.expect(&Frame::pong("hello"))?;
    client.text("type 128 bytes")?;
    client.expect(&Frame::binary("bytes"))?;
    client.close()
}

fn response_headers(context: &Context) -> Result<()> {
    let mut client = Client::connect(context.address()?)?;
    let handshake = Handshake::to("/kitchen_sink").header("Sec-WebSocket-Protocol", "a, b");
    let response = client.upgrade(&handshake)?;
    for (name, value) in [
        ("X-Kitchen-Sink", "ready"),
        ("X-Kitchen-Sink-Offers", "2"),
        ("Sec-WebSocket-Protocol", "b"),
        ("Sec-WebSocket-Accept", crate::support::handshake::ACCEPT),
    ] {
        ensure!(response.header(name) == Some(value), "{response:?}");
    }
    client.close()
}

fn subprotocols(context: &Context) -> Result<()> {
    let handshake = Handshake::to("/kitchen_sink")
        .header("Sec-WebSocket-Protocol", ",one , two")
        .and("Sec-WebSocket-Protocol", "three");
    let mut client = context.open_with(&handshake)?;
    for (command, answer) in [
        ("protocol 0", "one"),
        ("protocol 1", "two"),
        ("protocol 2", "three"),
        ("protocol 3", "(none)"),
        ("protocol 4294967296", "(none)"),
    ] {
        client.text(command)?;
        client
            .expect_text(answer)
            .with_context(|| command.to_owned())?;
    }
    client.close()
}

fn greeting(context: &Context) -> Result<()> {
    let mut client =
        context.open_with(&Handshake::to("/kitchen_sink").header("X-Greet", "welcome"))?;
    client.expect_text("welcome")?;
    client.close()
}

fn unchecked(context: &Context) -> Result<()> {
    let mut client = context.open("/kitchen_sink")?;
    for (hex, bytes) in [
        ("ff", &b"\xff"[..]),
        ("6100", b"a\0"),
        ("c0af", b"\xc0\xaf"),
        ("eda080", b"\xed\xa0\x80"),
        ("", b""),
    ] {
        client.text(format!("raw {hex}"))?;
        client.expect_text(bytes)?;
    }
    for size in [0, 1 << 20, 16 << 20] {
        client.text(format!("big {size}"))?;
        let bytes: Vec<u8> = (0..251).cycle().take(size).collect();
        client.expect(&Frame::binary(bytes))?;
    }
    client.close()
}

fn closes(context: &Context) -> Result<()> {
    for (command, payload) in [
        ("close", &b""[..]),
        ("close-empty", b""),
        ("hangup 4", b""),
        ("close 1000 bye", b"\x03\xe8bye"),
        ("close 4000", b"\x0f\xa0"),
        ("type 255 \x03\u{3}x", b"\x03\x03x"),
        ("type 77 anything", b"anything"),
        ("type -1 anything", b"anything"),
    ] {
        let mut client = context.open("/kitchen_sink")?;
        client.text(command)?;
        client
            .expect(&Frame::new(Opcode::CLOSE, payload))
            .with_context(|| command.to_owned())?;
        // After a close frame nothing more is sent, until the client answers.
        client.text("echo too late")?;
        client.text("close 1001 again")?;
        client.send(masked(Opcode::CLOSE, payload.get(..2).unwrap_or_default()))?;
        client.expect_end().with_context(|| command.to_owned())?;
    }
    Ok(())
}

fn threads(context: &Context) -> Result<()> {
    const THREADS: usize = 4;
    const EACH: usize = 300;
    let mut client = context.open("/kitchen_sink")?;
    client.text(format!("threads {THREADS} {EACH}"))?;
    let mut seen = BTreeMap::new();
    for _ in 0..THREADS * EACH {
        let text = client.next_text()?;
        let (thread, number) = text.split_once(' ').context("no number")?;
        let next = seen.entry(thread.to_owned()).or_insert(0);
        ensure!(
            number.parse::<usize>()? == *next,
            "out of order: {text} instead of {next}"
        );
        *next += 1;
    }
    ensure!(seen.len() == THREADS, "{seen:?}");
    client.close()
}

fn headers_out(context: &Context) -> Result<()> {
    let mut client = Client::connect(context.address()?)?;
    let response = client.upgrade(&Handshake::to("/request?a"))?;
    ensure!(
        response.header("X-From-Table") == Some("yes"),
        "{response:?}"
    );
    client.close()
}

fn in_place(context: &Context) -> Result<()> {
    let mut client = context.open("/kitchen_sink")?;
    // Long enough to be read directly into the message, and to be sent in fragments.
    let long = format!("upper {}", "x".repeat(200_000));
    client.text(&long)?;
    client.expect_text("X".repeat(200_000))?;
    for part in [
        masked(Opcode::FIRST_TEXT, "upper ab"),
        masked(Opcode::LAST, "cd"),
    ] {
        client.send(part)?;
    }
    client.expect_text("ABCD")?;
    client.close()
}

/// Several whole messages in one read, empty ones, fragments, and messages that are read directly
/// into their buffer.
fn byte_behind(context: &Context) -> Result<()> {
    let mut client = context.open("/nul")?;
    let texts = ["one", "", "three", "", "a text of some more bytes", ""];
    let frames = texts.map(|text| masked(Opcode::TEXT, text)).concat();
    client.send([&frames, &masked(Opcode::PING, "p")[..]].concat())?;
    for text in texts {
        client.expect_text(text)?;
    }
    client.expect(&Frame::pong("p"))?;

    let fragments = |texts: &[&str]| {
        let [first, middle @ .., last] = texts else {
            unreachable!("there are two at least")
        };
        let middle = middle.iter().map(|text| masked(Opcode::MIDDLE, text));
        [
            masked(Opcode::FIRST_TEXT, first),
            middle.collect::<Vec<_>>().concat(),
            masked(Opcode::LAST, last),
        ]
        .concat()
    };
    client.send([fragments(&["", ""]), fragments(&["a", "b", "c"])].concat())?;
    client.expect_text("")?;
    client.expect_text("abc")?;
    for length in [16_384, 65_536, 131_072, 200_000, 1 << 20, (1 << 20) + 1] {
        let message = vec![b'm'; length];
        client.binary(&message)?;
        client.send(masked(Opcode::TEXT, "behind it"))?;
        client.expect(&Frame::binary(&message))?;
        client.expect_text("behind it")?;
    }
    client.close()
}

/// The frame size divides the size of a read, so that a frame ends at the end of the buffer.
fn byte_behind_full_reads(context: &Context) -> Result<()> {
    const FRAMES: usize = 3 * 128 * 1024 / 64;
    let mut client = context.open("/nul")?;
    for shift in 0..2 {
        let text = "t".repeat(58);
        // The first one keeps the plugin busy until the others have arrived.
        let first = [
            masked(Opcode::TEXT, "wait"),
            masked(Opcode::TEXT, vec![b's'; shift]),
        ];
        client.send([first.concat(), masked(Opcode::TEXT, &text).repeat(FRAMES)].concat())?;
        client.expect_text("wait")?;
        client.expect_text(vec![b's'; shift])?;
        for _ in 0..FRAMES {
            client.expect_text(&text)?;
        }
    }
    client.close()
}

fn impossible_lengths(context: &Context) -> Result<()> {
    let mut client = context.open("/lengths")?;
    for _ in 0..2 {
        client.text("now")?;
        client.expect_text("refused 72")?;
    }
    client.text("close")?;
    client.expect_text("refused 72")?;
    client.expect(&Frame::close(1000))?;
    let log = context.httpd()?.error_log()?;
    ensure!(
        log.contains("called send with NULL of 4 bytes"),
        "NULL is not logged"
    );
    ensure!(
        log.contains(&format!("called send with a buffer of {} bytes", u64::MAX)),
        "the length is not logged"
    );
    Ok(())
}

fn stack(context: &Context) -> Result<()> {
    let mut client = context.open("/stack")?;
    let mut payload: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
    client.binary(&payload)?;
    payload.reverse();
    client.expect(&Frame::binary(payload))?;
    client.close()
}

fn dumb_increment(context: &Context) -> Result<()> {
    let handshake = Handshake::to("/dumb_increment")
        .header("Sec-WebSocket-Protocol", "dumb-increment-protocol");
    let mut client = context.open_with(&handshake)?;
    let next = |client: &mut Client| -> Result<u64> {
        Ok(client.next_text()?.trim_end_matches('\0').parse()?)
    };
    let mut last = next(&mut client)?;
    while last < 3 {
        let number = next(&mut client)?;
        ensure!(number == last + 1, "{number} after {last}");
        last = number;
    }
    client.text("reset\n")?;
    wait_until("the counter starts again", || Ok(next(&mut client)? < last))?;
    Ok(())
}

fn twins(context: &Context) -> Result<()> {
    for name in ["a", "b"] {
        let mut client = context.open(&format!("/twin_{name}"))?;
        client.text("who are you")?;
        client.expect_text(name)?;
        client.close()?;
    }
    Ok(())
}

fn both(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let httpd = context
        .root()?
        .load_module("both_module", plugins.library("both"))
        .config("TwiceLoaded seen")
        .config(plugins.location("/both", "both", ""))
        .start()?;
    for _ in 0..2 {
        let ask = || {
            let mut client = Client::open(httpd.address(), &Handshake::to("/both"))?;
            client.text("what does the directive say")?;
            client.expect_text("seen")?;
            client.close()
        };
        // A child that is about to end may still accept a connection.
        wait_until("a child answers", || Ok(ask().is_ok()))?;
        httpd.graceful()?;
    }
    ensure!(httpd.stop()?.success());
    Ok(())
}

fn larger(context: &Context) -> Result<()> {
    let handler = context.plugins().handler_with("broken", "larger_init");
    let httpd = context.start(&format!(
        "<Location /larger>\nSetHandler websocket-handler\n{handler}\n</Location>"
    ))?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/larger"))?;
    client.echo("hello")?;
    client.close()
}

/// It logs in the way that the header recommends.
fn cpp(context: &Context) -> Result<()> {
    let mut client = context.open("/cpp")?;
    client.echo("over C++")?;
    let httpd = context.httpd()?;
    let line = httpd.wait_for_log("a guest of C++", PATIENCE)?;
    ensure!(
        line.contains("[websocket:info]") && line.contains("[client 127.0.0.1"),
        "{line}"
    );
    client.close()
}
