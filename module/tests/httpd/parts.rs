//! Plugins that take messages in parts.

use std::env;
use std::io::{Read, Write};

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::process::peak_resident_kib;

use crate::deflate::{Deflated, RSV1, offer};
use crate::keepalive::ways::on_all_ways_of;
use crate::rust::{location, open};
use crate::support::frame::{head_of_zeros, masked};
use crate::support::wire::AnyClient;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases};

cases! {
    "messages in parts: all of each message comes, on every kind of connection" => whole,
    "messages in parts: a plugin may pause between two parts" => pauses,
    "messages in parts: compressed ones are inflated" => inflated,
    "messages in parts: an upload of any length takes little memory" => upload,
    "messages in parts: few bytes that inflate to many take little memory" => bomb,
    "messages in parts: a bad byte in a later part closes with 1007" => bad_text,
    "messages in parts: WebSocketMaxMessageSize is for whole messages" => limit,
    "messages in parts: WebSocketMaxFragments is for whole messages" => fragments,
    "messages in parts: on_disconnect follows the last part of half a message" => half,
    "messages in parts: a panic in on_part closes with 1011 and is logged" => panic,
    "messages in parts: a plugin in C gets them, too" => c,
}

fn on_all_ways(
    context: &Context,
    query: &str,
    directives: &str,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    on_all_ways_of(context, &format!("porter{query}"), directives, body)
}

/// A server with the plugin at `/porter`.
fn start(context: &Context, directives: &str) -> Result<Httpd> {
    context.start_small(8, &location(context, "/porter", "porter", directives))
}

/// What the plugin says of a message.
fn answer(kind: &str, message: &[u8]) -> String {
    let sum = message.iter().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    format!("{kind} {} {sum}", message.len())
}

fn expect_answer<S: Read + Write>(
    client: &mut Client<S>,
    kind: &str,
    message: impl AsRef<[u8]>,
) -> Result<()> {
    client.expect_text(answer(kind, message.as_ref()))
}

/// Sends messages in all forms, and expects the answers.
fn exchange(client: &mut AnyClient) -> Result<()> {
    let long = "0123456789\u{20ac}\u{1f4a9}".repeat(20_000);
    for text in ["", "a", "\u{1f4a9}", &long] {
        client.text(text)?;
        expect_answer(client, "Text", text)?;
        client.binary(text)?;
        expect_answer(client, "Binary", text)?;
    }
    // A character is cut by a fragment, and a ping comes in between.
    let (front, back) = long.as_bytes().split_at(70_012);
    client.send(masked(Opcode::FIRST_TEXT, front))?;
    client.send(masked(Opcode::PING, "p"))?;
    client.send(masked(Opcode::MIDDLE, ""))?;
    client.send(masked(Opcode::MIDDLE, &back[..1]))?;
    client.expect(&Frame::pong("p"))?;
    client.send(masked(Opcode::LAST, &back[1..]))?;
    expect_answer(client, "Text", &long)?;
    for byte in masked(Opcode::TEXT, "\u{1f4a9} byte by byte") {
        client.send([byte])?;
    }
    expect_answer(client, "Text", "\u{1f4a9} byte by byte")?;
    let both = [
        masked(Opcode::FIRST_TEXT, "b"),
        masked(Opcode::LAST, ""),
        masked(Opcode::BINARY, "c"),
    ];
    client.send(both.concat())?;
    expect_answer(client, "Text", "b")?;
    expect_answer(client, "Binary", "c")
}

fn whole(context: &Context) -> Result<()> {
    on_all_ways(context, "", "", exchange)
}

fn pauses(context: &Context) -> Result<()> {
    on_all_ways(context, "?pause", "", exchange)
}

fn inflated(context: &Context) -> Result<()> {
    for context_of in ["Shared", "Connection"] {
        let directives =
            format!("WebSocketCompression On\nWebSocketCompressionContext {context_of}");
        let httpd = start(context, &directives)?;
        for target in ["/porter", "/porter?pause"] {
            for extension in [
                "permessage-deflate",
                "permessage-deflate; client_no_context_takeover",
            ] {
                let client = Client::connect(httpd.address())?;
                let mut peer = Deflated::over(client, &offer(target, extension))?;
                for length in [0, 1, 5_000, 300_000, 5_000] {
                    let text = crate::deflate::text(7, length);
                    peer.send(Opcode::TEXT, text.as_bytes())?;
                    expect_answer(&mut peer.client, "Text", &text)?;
                    let zeros = vec![0; 10 * length];
                    let payload = peer.deflate(&zeros)?;
                    let (front, back) = payload.split_at(payload.len() / 2);
                    peer.client
                        .send(masked(Opcode::FIRST_BINARY | RSV1, front))?;
                    peer.client.send(masked(Opcode::LAST, back))?;
                    expect_answer(&mut peer.client, "Binary", &zeros)?;
                }
            }
        }
    }
    Ok(())
}

/// By how many KiB the peak of a child may grow, however long a message is.
pub(crate) const LITTLE: u64 = 4096;

/// The length of a long message in MiB.
pub(crate) fn long() -> Result<u64> {
    Ok(env::var("WEBSOCKET_TEST_LONG_MESSAGE_MIB").map_or(Ok(32), |mib| mib.parse())?)
}

/// The most memory that any child has taken so far.
pub(crate) fn peak(httpd: &Httpd) -> Result<u64> {
    let mut peaks = httpd.child_pids()?.into_iter().map(peak_resident_kib);
    peaks.try_fold(0, |most, peak| anyhow::Ok(most.max(peak?)))
}

fn upload(context: &Context) -> Result<()> {
    let mib = long()?;
    let httpd = start(context, &format!("WebSocketMaxMessageSize {}", mib << 20))?;
    let mut client = open(&httpd, "/porter")?;
    client.binary("warm up".repeat(100_000))?;
    client.next_text()?;
    let before = peak(&httpd)?;
    client.send(head_of_zeros(Opcode::BINARY, mib << 20))?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..mib {
        client.send(&zeros)?;
    }
    client.expect_text(format!("Binary {} 0", mib << 20))?;
    let grown = peak(&httpd)?.saturating_sub(before);
    ensure!(grown < LITTLE, "{grown} KiB");
    client.close()
}

fn bomb(context: &Context) -> Result<()> {
    let mib = long()?;
    let directives = format!(
        "WebSocketCompression On\nWebSocketMaxMessageSize {}",
        mib << 20
    );
    let httpd = start(context, &directives)?;
    let mut client = open(&httpd, "/porter")?;
    client.text("the child has started")?;
    client.next_text()?;
    let before = peak(&httpd)?;
    let client = Client::connect(httpd.address())?;
    let mut peer = Deflated::over(client, &offer("/porter", "permessage-deflate"))?;
    let zeros = vec![0; usize::try_from(mib << 20)?];
    peer.send(Opcode::BINARY, &zeros)?;
    peer.client.expect_text(format!("Binary {} 0", mib << 20))?;
    let grown = peak(&httpd)?.saturating_sub(before);
    ensure!(grown < LITTLE, "{grown} KiB");
    Ok(())
}

fn bad_text(context: &Context) -> Result<()> {
    on_all_ways(context, "", "", |client| {
        client.send(masked(Opcode::FIRST_TEXT, "good"))?;
        client.send(masked(Opcode::MIDDLE, b"good, bad: \xc3"))?;
        // The byte that makes it certain; the message does not end.
        client.send(masked(Opcode::MIDDLE, b"\x28"))?;
        client.expect_close(1007)
    })
}

fn limit(context: &Context) -> Result<()> {
    on_all_ways(context, "", "WebSocketMaxMessageSize 10", |client| {
        client.send(masked(Opcode::FIRST_TEXT, "12345"))?;
        client.send(masked(Opcode::LAST, "67890"))?;
        expect_answer(client, "Text", "1234567890")?;
        client.send(masked(Opcode::FIRST_TEXT, "12345"))?;
        client.send(masked(Opcode::MIDDLE, "678901"))?;
        client.expect_close(1009)
    })
}

fn fragments(context: &Context) -> Result<()> {
    on_all_ways(context, "", "WebSocketMaxFragments 3", |client| {
        client.send(masked(Opcode::FIRST_TEXT, "a"))?;
        client.send(masked(Opcode::MIDDLE, "b"))?;
        client.send(masked(Opcode::MIDDLE, "c"))?;
        client.send(masked(Opcode::LAST, "d"))?;
        client.expect_close(1008)
    })
}

fn half(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let begun = || {
        let mut client = open(&httpd, "/porter")?;
        client.send(masked(Opcode::FIRST_TEXT, "half"))?;
        // The ping is answered when the part in front of it has come.
        client.send(masked(Opcode::PING, "p"))?;
        client.expect(&Frame::pong("p"))?;
        anyhow::Ok(client)
    };
    begun()?.reset()?;
    httpd.wait_for_log("gone in messages after 4 bytes: lost", PATIENCE)?;
    begun()?.close()?;
    httpd.wait_for_log(
        "gone in messages after 4 bytes: closed by the client",
        PATIENCE,
    )?;
    Ok(())
}

fn panic(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut other = open(&httpd, "/porter")?;
    let mut client = open(&httpd, "/porter")?;
    client.send(masked(Opcode::FIRST_TEXT, "panic"))?;
    client.expect_close(1011)?;
    httpd.wait_for_log("[Porter] on_part panicked at ", PATIENCE)?;
    other.text("still here")?;
    expect_answer(&mut other, "Text", "still here")
}

fn c(context: &Context) -> Result<()> {
    let mut client = context.open("/parts")?;
    client.send(masked(Opcode::FIRST_TEXT, "one"))?;
    client.expect_text("part ONE")?;
    client.send(masked(Opcode::LAST, "two"))?;
    client.expect_text("last TWO")?;
    client.text("three")?;
    client.expect_text("last THREE")?;
    client.close()?;
    let mut client = context.open_with(&Handshake::to("/parts").header("X-Whole", "1"))?;
    client.send(masked(Opcode::FIRST_TEXT, "one"))?;
    client.send(masked(Opcode::LAST, "two"))?;
    client.expect_text("whole")?;
    client.close()
}
