//! Plugins that write messages piece by piece.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use crate::deflate::{Deflated, offer};
use crate::keepalive::ways::on_all_ways_of;
use crate::parts::{LITTLE, long, peak};
use crate::rust::{location, open};
use crate::support::frame::masked;
use crate::support::wire::AnyClient;
use crate::support::{Client, Context, Frame, Opcode, PATIENCE, cases};

cases! {
    "messages in pieces: what is written is one message, on every kind of connection" => whole,
    "messages in pieces: other messages and those of topics wait until it ends" => others,
    "messages in pieces: control frames do not wait" => control,
    "messages in pieces: they are compressed, and those around them stay right" => compressed,
    "messages in pieces: a download of any length takes little memory" => download,
    "messages in pieces: one that is not finished closes with 1011" => dropped,
    "messages in pieces: one whose writer is lost closes with 1011 when another waits" => lost,
    "messages in pieces: a close of the client ends one that is being written" => closed,
    "messages in pieces: a close of the plugin ends one that is being written" => closing,
    "messages in pieces: a client that is too slow is closed in the middle of one" => slow,
    "messages in pieces: others are refused when the queue behind it is full" => full,
    "messages in pieces: a panic closes with 1011 in the middle" => panic,
    "messages in pieces: a plugin in C writes them, too" => c,
    "messages in pieces: a piece that cannot be sent closes with 1011" => hole,
}

/// Fragments as large as the module makes them.
const FRAGMENT: usize = 32 * 1024;

fn on_all_ways(
    context: &Context,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    on_all_ways_of(context, "author", "", body)
}

fn start(context: &Context, directives: &str) -> Result<Httpd> {
    context.start_small(8, &location(context, "/author", "author", directives))
}

/// Has the plugin do all of this, in one read.
fn tell<S: Read + Write>(client: &mut Client<S>, commands: &[&str]) -> Result<()> {
    let frames = commands.iter().map(|command| masked(Opcode::TEXT, command));
    client.send(frames.collect::<Vec<_>>().concat())
}

fn fragment(first_byte: u8, text: &str) -> Frame {
    Frame::new(first_byte, text)
}

/// The next message in fragments: its opcode and length. All bytes have to be `x`.
fn long_message<S: Read + Write>(client: &mut Client<S>) -> Result<(u8, usize)> {
    let first = client.frame()?;
    let (opcode, mut length, mut last) = (first.first_byte, first.payload.len(), first);
    while last.first_byte & 0x80 == 0 {
        last = client.frame()?;
        ensure!(last.first_byte & 0x7f == 0, "{last:?}");
        ensure!(
            last.payload.len() <= FRAGMENT,
            "{} bytes",
            last.payload.len()
        );
        ensure!(last.payload.iter().all(|byte| *byte == b'x'));
        length += last.payload.len();
    }
    Ok((opcode & 0x7f, length))
}

fn whole(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        tell(client, &["begin", "add one,", "add  two", "finish"])?;
        client.expect_text("one, two")?;
        tell(client, &["begin", "finish"])?;
        client.expect_text("")?;
        for command in ["long 3", "thread 3"] {
            tell(client, &[command])?;
            ensure!(long_message(client)? == (2, 3 << 20));
        }
        client.echo("still here")
    })
}

fn others(context: &Context) -> Result<()> {
    static TOPICS: AtomicU32 = AtomicU32::new(0);
    on_all_ways(context, |client| {
        let topic = TOPICS.fetch_add(1, Ordering::Relaxed);
        tell(client, &[&format!("subscribe author/{topic}")])?;
        tell(client, &["begin", "add a", "flush", "echo", "begin"])?;
        client.expect(&fragment(Opcode::FIRST_TEXT, "a"))?;
        tell(client, &[&format!("publish author/{topic}")])?;
        tell(client, &["add b", "flush", "finish"])?;
        client.expect(&fragment(Opcode::MIDDLE, "b"))?;
        client.expect(&fragment(Opcode::LAST, ""))?;
        for expected in ["echo", "busy"] {
            client.expect_text(expected)?;
        }
        client.expect_text("topic")
    })
}

fn control(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = open(&httpd, "/author")?;
    tell(&mut client, &["begin", "add a", "flush"])?;
    client.expect(&fragment(Opcode::FIRST_TEXT, "a"))?;
    client.send(masked(Opcode::PING, "p"))?;
    client.expect(&Frame::pong("p"))?;
    tell(&mut client, &["finish"])?;
    client.expect(&fragment(Opcode::LAST, ""))?;
    client.close()
}

fn compressed(context: &Context) -> Result<()> {
    for context_of in ["Shared", "Connection"] {
        let directives =
            format!("WebSocketCompression On\nWebSocketCompressionContext {context_of}");
        let httpd = start(context, &directives)?;
        let client = Client::connect(httpd.address())?;
        let mut peer = Deflated::over(client, &offer("/author", "permessage-deflate"))?;
        let text = crate::deflate::text(3, 4_000);
        let echo = format!("echo {text}");
        for _ in 0..3 {
            // Sent while the other one is written, and compressed before its end.
            for command in [
                &echo,
                "begin",
                &format!("add {text}"),
                &echo,
                "flush",
                "finish",
            ] {
                peer.send(Opcode::TEXT, command.as_bytes())?;
            }
            for expected in [&echo, &text, &echo] {
                ensure!(peer.message(Opcode::TEXT)? == expected.as_bytes());
            }
            peer.send(Opcode::TEXT, b"long 5")?;
            ensure!(peer.message(Opcode::BINARY)? == vec![b'x'; 5 << 20]);
        }
    }
    Ok(())
}

fn download(context: &Context) -> Result<()> {
    let mib = long()?;
    let httpd = start(context, "WebSocketSendQueue 1048576")?;
    for command in ["long", "thread"] {
        let mut client = open(&httpd, "/author")?;
        tell(&mut client, &[&format!("{command} 2")])?;
        long_message(&mut client)?;
        let before = peak(&httpd)?;
        tell(&mut client, &[&format!("{command} {mib}")])?;
        let (_, length) = long_message(&mut client)?;
        ensure!(length == usize::try_from(mib << 20)?, "{length}");
        let grown = peak(&httpd)?.saturating_sub(before);
        ensure!(grown < LITTLE, "{command}: {grown} KiB");
        client.close()?;
    }
    Ok(())
}

fn dropped(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        tell(client, &["begin", "add a", "flush", "echo", "drop"])?;
        client.expect(&fragment(Opcode::FIRST_TEXT, "a"))?;
        client.expect(&incomplete())
    })
}

fn incomplete() -> Frame {
    Frame::new(Opcode::CLOSE, b"\x03\xf3incomplete message")
}

fn lost(context: &Context) -> Result<()> {
    let location = location(context, "/author", "author", "");
    let httpd = context.start_small(8, &format!("Timeout 1\n{location}"))?;
    let mut client = open(&httpd, "/author")?;
    tell(&mut client, &["begin", "add a", "flush", "echo"])?;
    client.expect(&fragment(Opcode::FIRST_TEXT, "a"))?;
    std::thread::sleep(Duration::from_millis(1200)); // longer than the timeout
    tell(&mut client, &["echo"])?;
    client.expect(&incomplete())?;
    client.send(masked(Opcode::CLOSE, b"\x03\xf3"))?;
    client.expect_end()
}

fn closed(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        tell(client, &["begin", "add a", "flush", "echo"])?;
        client.expect(&fragment(Opcode::FIRST_TEXT, "a"))?;
        client.send(masked(Opcode::CLOSE, b"\x03\xe8"))?;
        client.expect(&Frame::close(1000))?;
        client.expect_end()
    })
}

fn closing(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        tell(
            client,
            &["begin", "add a", "flush", "echo", "add b", "close"],
        )?;
        client.expect(&fragment(Opcode::FIRST_TEXT, "a"))?;
        client.expect(&Frame::close(1001))?;
        client.send(masked(Opcode::CLOSE, b"\x03\xe9"))
    })
}

fn slow(context: &Context) -> Result<()> {
    let directives = "WebSocketSlowClient Close\nWebSocketSendQueue 1048576";
    on_all_ways_of(context, "author", directives, |client| {
        // Far more than the queue and the buffers of the system take.
        tell(client, &["thread 256"])?;
        let (mut length, mut last) = (0, client.frame()?);
        std::thread::sleep(Duration::from_millis(300)); // lets everything fill up
        while last.first_byte & 0x0f != 8 {
            ensure!(last.first_byte & 0x80 == 0, "the message ends");
            length += last.payload.len();
            last = client.frame()?;
        }
        ensure!(length < 256 << 20, "{length}");
        ensure!(last.payload == b"\x03\xf5slow client", "{last:?}");
        Ok(())
    })
}

fn full(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketSendQueue 2097152")?;
    let mut client = open(&httpd, "/author")?;
    tell(&mut client, &["begin", "fill", "finish"])?;
    let count = client.next_text()?;
    ensure!(count == "2" || count == "3", "{count}");
    for _ in 0..count.parse::<u32>()? {
        let frame = client.frame()?;
        ensure!(frame.payload.len() == 1 << 20, "{frame:?}");
    }
    client.echo("still here")?;
    client.close()
}

fn panic(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = open(&httpd, "/author")?;
    tell(&mut client, &["panic"])?;
    client.expect(&incomplete())?;
    httpd.wait_for_log("[Author] on_message panicked at ", PATIENCE)?;
    open(&httpd, "/author")?.echo("still here")
}

fn c(context: &Context) -> Result<()> {
    let mut client = context.open("/pieces")?;
    tell(&mut client, &["early"])?;
    client.expect_text("none")?;
    client.binary("begin")?;
    tell(&mut client, &["one", " two."])?;
    client
        .expect(&fragment(Opcode::FIRST_TEXT, "one two."))
        .context("flushed")?;
    client.binary("begin")?;
    tell(&mut client, &["three", ""])?;
    client.expect(&fragment(Opcode::LAST, "three"))?;
    client.expect_text("busy")?;
    client.close()
}

fn hole(context: &Context) -> Result<()> {
    let mut client = context.open("/pieces")?;
    client.binary("begin")?;
    tell(&mut client, &["one.", "NULL", ""])?;
    client.expect(&fragment(Opcode::FIRST_TEXT, "one."))?;
    client.expect(&incomplete())?;
    client.send(masked(Opcode::CLOSE, b"\x03\xf3"))?;
    client.expect_end()
}
