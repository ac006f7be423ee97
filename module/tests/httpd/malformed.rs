//! Frames that violate the protocol: each ends the connection with the right status code.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::support::frame::{masked, unmasked};
use crate::support::journal::Journal;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};

cases! {
    "a frame that violates the protocol ends the connection with 1002" => protocol_errors,
    "an incomplete header is refused at the first byte that makes it invalid" => incomplete_headers,
    "a length over the limit is refused before the masking key arrives" => incomplete_lengths,
    "text that is not UTF-8 ends the connection with 1007" => bad_texts,
    "bad UTF-8 is refused as soon as it is certain" => bad_text_early,
    "reserved status codes are refused, unless allowed" => status_codes,
    "a message over the limit ends the connection with 1009, or 1004" => limits,
    "the default limit is 32 MiB and applies to the frame's header" => default_limit,
    "messages before the violation are still answered" => answers_before_the_mistake,
    "an invalid text ends the connection after the messages before it in the same read"
        => bad_text_later,
    "the plugin gets no frame that violates a rule" => plugin_hears_nothing,
}

/// A frame header with this encoding of the length, and nothing after it.
fn header(first_byte: u8, length: &[u8]) -> Vec<u8> {
    [&[first_byte], length].concat()
}

fn protocol_errors(context: &Context) -> Result<()> {
    let long = [0; 126];
    let begun = masked(Opcode::FIRST_TEXT, "begun");
    let cases = [
        ("RSV1", masked(0xc1, "x")),
        ("RSV2", masked(0xa1, "x")),
        ("RSV3", masked(0x91, "x")),
        ("RSV1 on a ping", masked(0xc9, "x")),
        ("opcode 3", masked(0x83, "x")),
        ("opcode 7", masked(0x87, "")),
        ("opcode 11", masked(0x8b, "x")),
        ("opcode 15", masked(0x8f, "")),
        ("text without a mask", unmasked(Opcode::TEXT, "x")),
        ("empty text without a mask", unmasked(Opcode::TEXT, "")),
        ("ping without a mask", unmasked(Opcode::PING, "x")),
        ("close without a mask", unmasked(Opcode::CLOSE, [3, 232])),
        ("ping in fragments", masked(0x09, "x")),
        ("close in fragments", masked(0x08, "")),
        ("long ping", masked(Opcode::PING, long)),
        (
            "long close",
            masked(Opcode::CLOSE, [&[3, 232], &long[..]].concat()),
        ),
        ("continuation of nothing", masked(Opcode::MIDDLE, "x")),
        ("end of nothing", masked(Opcode::LAST, "")),
        (
            "text in a text",
            [begun.clone(), masked(Opcode::TEXT, "x")].concat(),
        ),
        (
            "binary in a text",
            [begun, masked(Opcode::FIRST_BINARY, "x")].concat(),
        ),
        ("close with one byte", masked(Opcode::CLOSE, [3])),
        (
            "16-bit length of 125",
            header(Opcode::TEXT, &[0xfe, 0, 125]),
        ),
        (
            "64-bit length of 65535",
            header(Opcode::TEXT, &[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ),
        (
            "length of 2^63",
            header(Opcode::BINARY, &[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "HTTP instead of frames",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
    ];
    expect_close(
        context,
        "/journal",
        cases.iter().map(|(name, bytes)| (*name, bytes, 1002)),
    )
}

/// No bytes follow these, and the last of them makes the frame invalid.
fn incomplete_headers(context: &Context) -> Result<()> {
    let begun = masked(Opcode::FIRST_TEXT, "begun");
    let in_message = |bytes: &[u8]| [&begun, bytes].concat();
    let cases = [
        ("RSV1", vec![0xc1]),
        ("RSV2", vec![0xa1]),
        ("RSV3", vec![0x91]),
        ("opcode 3", vec![0x83]),
        ("opcode 15", vec![0x8f]),
        ("ping without FIN", vec![0x09]),
        ("close without FIN", vec![0x08]),
        ("continuation of nothing", vec![0x00]),
        ("end of nothing", vec![0x80]),
        ("text in a text", in_message(&[0x81])),
        ("binary in a text", in_message(&[0x02])),
        ("text without a mask", vec![0x81, 0x05]),
        ("ping without a mask", vec![0x89, 0x00]),
        ("long ping", vec![0x89, 0xfe]),
        ("long close", vec![0x88, 0xff]),
        ("close with one byte", vec![0x88, 0x81]),
        ("16-bit length of 125", vec![0x82, 0xfe, 0, 125]),
        (
            "64-bit length of 65535",
            vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ),
        (
            "length of 2^63",
            vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ),
    ];
    expect_close(
        context,
        "/journal",
        cases.iter().map(|(name, bytes)| (*name, bytes, 1002)),
    )
}

fn incomplete_lengths(context: &Context) -> Result<()> {
    let fragment = |length: usize| masked(Opcode::FIRST_TEXT, vec![b'x'; length]);
    let long = |length: u64| [&[Opcode::BINARY, 0xff][..], &length.to_be_bytes()].concat();
    let cases = [
        ("/limit", vec![Opcode::BINARY, 0x80 | 101]),
        ("/limit", vec![Opcode::PING, 0x80 | 101]),
        ("/limit", vec![Opcode::BINARY, 0xfe, 0, 126]),
        ("/limit", long(65_536)),
        (
            "/limit",
            [fragment(60), vec![Opcode::LAST, 0x80 | 41]].concat(),
        ),
        (
            "/limit",
            [fragment(100), vec![Opcode::MIDDLE, 0x81]].concat(),
        ),
        ("/echo", long(33_554_433)),
        ("/echo", long(u64::MAX / 2)),
    ];
    for (version, status) in [(13, 1009), (8, 1004), (7, 1004)] {
        for (target, bytes) in &cases {
            let mut client = context.open_with(&Handshake::to(target).version(version))?;
            client.send(bytes)?;
            client
                .expect_close(status)
                .with_context(|| format!("{target}, version {version}: {bytes:02x?}"))?;
        }
    }
    Ok(())
}

fn expect_close<'a>(
    context: &Context,
    target: &str,
    cases: impl Iterator<Item = (&'a str, &'a Vec<u8>, u16)>,
) -> Result<()> {
    for (name, bytes, status) in cases {
        let mut client = context.open(target)?;
        client.send(bytes)?;
        client
            .expect_close(status)
            .with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn bad_texts(context: &Context) -> Result<()> {
    let torn = |first: &[u8], last: &[u8]| {
        [
            masked(Opcode::FIRST_TEXT, first),
            masked(Opcode::LAST, last),
        ]
        .concat()
    };
    let cases = [
        ("a lone continuation byte", masked(Opcode::TEXT, [0x80])),
        ("an overlong form", masked(Opcode::TEXT, [0xc0, 0xaf])),
        ("a surrogate", masked(Opcode::TEXT, [0xed, 0xa0, 0x80])),
        (
            "beyond U+10FFFF",
            masked(Opcode::TEXT, [0xf4, 0x90, 0x80, 0x80]),
        ),
        ("cut off at the end", masked(Opcode::TEXT, b"caf\xc3")),
        ("cut off in the last fragment", torn(b"caf", b"\xc3")),
        ("torn apart wrongly", torn(b"caf\xc3", b"x")),
        (
            "far into the text",
            masked(Opcode::TEXT, [vec![b'x'; 70_000], vec![0xff]].concat()),
        ),
        (
            "the reason of a close",
            masked(Opcode::CLOSE, b"\x03\xe8\xff"),
        ),
        (
            "a reason that is cut off",
            masked(Opcode::CLOSE, b"\x03\xe8caf\xc3"),
        ),
    ];
    expect_close(
        context,
        "/echo",
        cases.iter().map(|(name, bytes)| (*name, bytes, 1007)),
    )
}

fn bad_text_early(context: &Context) -> Result<()> {
    // The message is never completed. Its beginning is already invalid.
    let incomplete = masked(Opcode::TEXT, [b"\xff".to_vec(), vec![b'x'; 100]].concat());
    let cases = [
        ("in a fragment", masked(Opcode::FIRST_TEXT, [0xff])),
        (
            "in a frame that has not arrived in full",
            incomplete[..20].to_vec(),
        ),
    ];
    expect_close(
        context,
        "/echo",
        cases.iter().map(|(name, bytes)| (*name, bytes, 1007)),
    )
}

fn status_codes(context: &Context) -> Result<()> {
    // The code, and whether it is allowed by default and with WebSocketAllowReservedStatusCodes.
    let cases = [
        (0, false, false),
        (999, false, false),
        (1000, true, true),
        (1003, true, true),
        (1004, false, true),
        (1005, false, false),
        (1006, false, false),
        (1007, true, true),
        (1012, true, true),
        (1013, true, true),
        (1014, true, true),
        (1015, false, false),
        (1016, false, true),
        (2999, false, true),
        (3000, true, true),
        (4999, true, true),
        (5000, false, false),
        (65_535, false, false),
    ];
    for (code, by_default, if_allowed) in cases {
        for (target, is_right) in [("/echo", by_default), ("/reserved", if_allowed)] {
            let mut client = context.open(target)?;
            client.send(masked(Opcode::CLOSE, u16::to_be_bytes(code)))?;
            let answer = if is_right { code } else { 1002 };
            client
                .expect_close(answer)
                .with_context(|| format!("{code} at {target}"))?;
        }
    }
    Ok(())
}

fn limits(context: &Context) -> Result<()> {
    let exact = vec![b'x'; 100];
    let over = vec![b'x'; 101];
    for (version, status) in [(13, 1009), (8, 1004), (7, 1004)] {
        let open = || context.open_with(&Handshake::to("/limit").version(version));
        let mut client = open()?;
        client.binary(&exact)?;
        client.expect(&Frame::binary(&exact))?;
        client.send(
            [
                masked(Opcode::FIRST_TEXT, &exact[..60]),
                masked(Opcode::LAST, &exact[60..]),
            ]
            .concat(),
        )?;
        client.expect_text(&exact)?;
        client.binary(&over)?;
        client.expect_close(status)?;

        let mut client = open()?;
        client.send(
            [
                masked(Opcode::FIRST_TEXT, &exact),
                masked(Opcode::MIDDLE, "x"),
            ]
            .concat(),
        )?;
        client.expect_close(status).context("fragments")?;

        let mut client = open()?;
        client.send(masked(Opcode::PING, &over))?;
        client.expect_close(status).context("a ping")?;
    }
    Ok(())
}

fn default_limit(context: &Context) -> Result<()> {
    const MASKING_KEY: [u8; 4] = [1, 2, 3, 4];
    let length = |length: u64| [&[0xff][..], &length.to_be_bytes(), &MASKING_KEY].concat();
    for too_long in [33_554_433, u64::MAX / 2] {
        let mut client = context.open("/echo")?;
        client.send(header(Opcode::BINARY, &length(too_long)))?;
        client.expect_close(1009)?;
    }
    let mut client = context.open("/echo")?;
    client.send(header(Opcode::BINARY, &length(33_554_432)))?;
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(100)))?;
    ensure!(client.next_frame().is_err(), "32 MiB are refused");
    Ok(())
}

fn answers_before_the_mistake(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    let good = [masked(Opcode::TEXT, "good"), masked(Opcode::PING, "ping")].concat();
    client.send([good.clone(), masked(0x83, "bad"), good].concat())?;
    client.expect_text("good")?;
    client.expect(&Frame::pong("ping"))?;
    client.expect_close(1002)
}

fn bad_text_later(context: &Context) -> Result<()> {
    for bad in [&b"\xff"[..], b"well, \xe2\x82"] {
        for before in 0..4 {
            let journal = Journal::new(context)?;
            let mut client = context.open_with(&journal.handshake("/journal"))?;
            let good = masked(Opcode::TEXT, "good");
            let bad = masked(Opcode::TEXT, bad);
            client.send([good.repeat(before), bad.clone(), good, bad].concat())?;
            for _ in 0..before {
                client.expect_text("good")?;
            }
            client.expect_close(1007)?;
            journal.expect_one_disconnect(Duration::from_secs(5))?;
            let heard = journal.count("message 4")?;
            ensure!(heard == before, "{heard} messages instead of {before}");
        }
    }
    Ok(())
}

fn plugin_hears_nothing(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let mut client: Client = context.open_with(&journal.handshake("/journal"))?;
    let frames = [
        masked(Opcode::PING, "x"),
        masked(Opcode::PONG, "x"),
        masked(Opcode::FIRST_TEXT, "never finished"),
        masked(Opcode::TEXT, "wrong"),
        masked(Opcode::TEXT, "too late"),
    ];
    client.send(frames.concat())?;
    client.expect(&Frame::pong("x"))?;
    client.expect_close(1002)?;
    journal.expect_one_disconnect(Duration::from_secs(5))?;
    ensure!(
        journal.lines()? == ["connect", "disconnect"],
        "{:?}",
        journal.lines()?
    );
    Ok(())
}
