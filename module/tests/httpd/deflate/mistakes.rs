//! Misuse of compression, and its consequences.

use anyhow::{Result, ensure};
use flate2::{Compress, Compression, FlushCompress};

use crate::deflate::{Deflated, RSV1, TARGETS, offer, text};
use crate::support::frame::masked;
use crate::support::{Client, Context, Handshake, Opcode, cases};
use xtask::process::peak_resident_kib;

cases! {
    "compression: misused reserved bits end the connection with 1002" => reserved_bits,
    "compression: data that cannot be inflated ends the connection with 1007" => bad_streams,
    "compression: a text that inflates to bad UTF-8 ends the connection with 1007" => bad_texts,
    "compression: the size limit applies to the inflated message" => limit,
    "compression: a bomb takes no more memory than the size limit" => bomb,
}

fn open(context: &Context, target: &str) -> Result<Client> {
    context.open_with(&offer(target, "permessage-deflate"))
}

fn reserved_bits(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut peer = Deflated::open(context, target, "permessage-deflate")?;
        let payload = peer.deflate(text(0, 1000).as_bytes())?;
        let (front, back) = payload.split_at(100);
        let begun = |first_byte: u8| masked(first_byte, front);
        for frames in [
            masked(Opcode::PING | RSV1, ""),
            masked(Opcode::PONG | RSV1, ""),
            masked(Opcode::CLOSE | RSV1, [3, 232]),
            masked(Opcode::TEXT | 0x20, "RSV2"),
            masked(Opcode::TEXT | 0x10, "RSV3"),
            masked(Opcode::TEXT | RSV1 | 0x10, &payload),
            [
                begun(Opcode::FIRST_TEXT | RSV1),
                masked(Opcode::LAST | RSV1, back),
            ]
            .concat(),
            [
                begun(Opcode::FIRST_BINARY),
                masked(Opcode::LAST | RSV1, &payload),
            ]
            .concat(),
            masked(Opcode::LAST | RSV1, &payload),
        ] {
            let mut client = open(context, target)?;
            client.send(frames)?;
            client.expect_close(1002)?;
        }
    }
    Ok(())
}

fn bad_streams(context: &Context) -> Result<()> {
    for payload in [
        &b"\x06"[..],
        b"\x00\x05\x00\x00\x00",
        // The second message of RFC 7692, section 7.2.3.2, without the first.
        b"\xf2\x00\x11\x00\x00",
        b"not deflate at all",
    ] {
        for target in TARGETS {
            let mut client = open(context, target)?;
            client.send(masked(Opcode::BINARY | RSV1, payload))?;
            client.expect_close(1007)?;
        }
    }
    // The client has agreed to keep no context.
    let offer = "permessage-deflate; client_no_context_takeover";
    let mut client = Deflated::open(context, "/compressed", offer)?;
    client.keeps_own = true;
    client.echo_text(&text(0, 1000))?;
    client.send(Opcode::TEXT, text(0, 1000).as_bytes())?;
    client.client.expect_close(1007)
}

fn bad_texts(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut peer = Deflated::open(context, target, "permessage-deflate")?;
        let payload = peer.deflate(&[text(0, 500).as_bytes(), b"\xff"].concat())?;
        let mut client = open(context, target)?;
        // The error is certain before the message ends.
        client.send(masked(Opcode::FIRST_TEXT | RSV1, payload))?;
        client.expect_close(1007)?;
    }
    Ok(())
}

fn limit(context: &Context) -> Result<()> {
    let target = "/compressed/limit";
    let mut client = Deflated::open(context, target, "permessage-deflate")?;
    client.echo_text(&"x".repeat(1000))?;
    client.send(Opcode::TEXT, "x".repeat(1001).as_bytes())?;
    client.client.expect_close(1009)
}

fn bomb(context: &Context) -> Result<()> {
    const LIMIT: u64 = 8 << 20;
    let location = context.plugins().location(
        "/bomb",
        "echo",
        &format!("WebSocketCompression On\nWebSocketMaxMessageSize {LIMIT}"),
    );
    let httpd = context.start_small(8, &location)?;
    let handshake: Handshake = offer("/bomb", "permessage-deflate");
    let mut first = Client::open(httpd.address(), &handshake)?;
    first.echo("the child has started")?;
    // On prefork each connection has a process, and more may start at any time.
    let peak = || {
        let pids = httpd.child_pids()?;
        let mut peaks = pids.into_iter().map(peak_resident_kib);
        peaks.try_fold(0, |most, peak| anyhow::Ok(most.max(peak?)))
    };
    let before = peak()?;
    let mut client = Client::open(httpd.address(), &handshake)?;
    client.send(masked(Opcode::BINARY | RSV1, gibibyte()?))?;
    client.expect_close(1009)?;
    let grown = peak()?.saturating_sub(before);
    // While a buffer grows, it exists twice. The inflated part of the bomb is also there.
    ensure!(grown < 3 * LIMIT / 1024, "{grown} KiB");
    first.echo("others are served")?;
    first.close()
}

/// A gibibyte of zeros, compressed to a megabyte.
fn gibibyte() -> Result<Vec<u8>> {
    const PIECE: usize = 1 << 24;
    let zeros = vec![0; PIECE];
    let mut compress = Compress::new(Compression::best(), false);
    let mut bomb = Vec::with_capacity(2 << 20);
    for _ in 0..(1 << 30) / PIECE {
        compress.compress_vec(&zeros, &mut bomb, FlushCompress::None)?;
    }
    Ok(bomb)
}
