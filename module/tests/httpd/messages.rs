//! Valid messages and control frames (RFC 6455, section 5).

use anyhow::{Result, ensure};
use tungstenite::Message;

use crate::support::frame::masked;
use crate::support::{Context, Frame, Handshake, Opcode, cases};

cases! {
    "an ordinary client is served" => ordinary_client,
    "a text message comes back unchanged" => texts,
    "a message of any length comes back unchanged" => lengths,
    "messages of 1 MiB and 16 MiB go both ways" => large_messages,
    "fragments make one message, control frames between them" => fragments,
    "a frame may arrive byte by byte" => byte_by_byte,
    "many small messages are answered in order" => pipelined,
    "a ping is answered with its payload, a pong is ignored" => pings,
    "the plugin gets type, size, and a buffer even for an empty message" => types,
    "a close frame is answered with the same code" => client_closes,
    "a large message may be followed by others at once" => after_a_large_message,
}

fn ordinary_client(context: &Context) -> Result<()> {
    let url = format!("ws://{}/echo", context.address()?);
    let (mut socket, _) = tungstenite::connect(url)?;
    for message in [
        Message::text("h\u{e9}llo"),
        Message::binary(vec![0, 255]),
        Message::text(""),
    ] {
        socket.send(message.clone())?;
        ensure!(socket.read()? == message);
    }
    socket.send(Message::Ping("are you there".into()))?;
    ensure!(socket.read()? == Message::Pong("are you there".into()));
    socket.close(None)?;
    ensure!(matches!(socket.read()?, Message::Close(None)));
    ensure!(matches!(
        socket.read(),
        Err(tungstenite::Error::ConnectionClosed)
    ));
    Ok(())
}

fn texts(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    for text in [
        "",
        "a",
        "\0",
        "\u{feff}",
        "\u{10ffff}",
        "k\u{f6}\u{df}\u{3bb}\u{1f980}",
    ] {
        client.echo(text)?;
    }
    client.close()
}

fn lengths(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    for length in [
        0, 1, 124, 125, 126, 127, 4095, 65_535, 65_536, 65_537, 300_000,
    ] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.close()
}

fn large_messages(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    for length in [1 << 20, 16 << 20] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.close()
}

fn fragments(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    let frames = [
        masked(Opcode::FIRST_TEXT, "one, "),
        masked(Opcode::PING, "in between"),
        masked(Opcode::MIDDLE, ""),
        masked(Opcode::MIDDLE, "two, "),
        masked(Opcode::PONG, "ignored"),
        masked(Opcode::LAST, "three"),
        // A character of two bytes, split between two fragments.
        masked(Opcode::FIRST_TEXT, [0xc3]),
        masked(Opcode::LAST, [0xa9]),
        masked(Opcode::FIRST_BINARY, [0xc3]),
        masked(Opcode::LAST, ""),
    ];
    client.send(frames.concat())?;
    client.expect(&Frame::pong("in between"))?;
    client.expect_text("one, two, three")?;
    client.expect_text("\u{e9}")?;
    client.expect(&Frame::binary([0xc3]))?;
    client.close()
}

fn byte_by_byte(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    let bytes = [
        masked(Opcode::TEXT, "a text"),
        masked(Opcode::PING, "a ping"),
    ]
    .concat();
    for byte in bytes {
        client.send([byte])?;
    }
    client.expect_text("a text")?;
    client.expect(&Frame::pong("a ping"))?;
    client.close()
}

fn pipelined(context: &Context) -> Result<()> {
    const COUNT: usize = 5000;
    let mut client = context.open("/echo")?;
    let messages = (0..COUNT).map(|number| masked(Opcode::TEXT, number.to_string()));
    client.send(messages.collect::<Vec<_>>().concat())?;
    for number in 0..COUNT {
        client.expect_text(number.to_string())?;
    }
    client.close()
}

fn pings(context: &Context) -> Result<()> {
    let mut client = context.open("/journal")?;
    for payload in [&b""[..], b"ping", &[0xff; 125]] {
        client.send(masked(Opcode::PONG, payload))?;
        client.send(masked(Opcode::PING, payload))?;
        client.expect(&Frame::pong(payload))?;
    }
    client.close()
}

fn types(context: &Context) -> Result<()> {
    let mut client = context.open("/inspect")?;
    for (first_byte, payload, seen) in [
        (Opcode::TEXT, "", "0 0"),
        (Opcode::TEXT, "four", "0 4"),
        (Opcode::BINARY, "", "128 0"),
        (Opcode::BINARY, "three", "128 5"),
    ] {
        client.send(masked(first_byte, payload))?;
        client.expect_text(seen)?;
    }
    for last in [masked(Opcode::LAST, ""), masked(Opcode::LAST, "x")] {
        client.send(
            [
                masked(Opcode::FIRST_TEXT, ""),
                masked(Opcode::MIDDLE, ""),
                last,
            ]
            .concat(),
        )?;
    }
    client.expect_text("0 0")?;
    client.expect_text("0 1")?;
    client.close()
}

fn client_closes(context: &Context) -> Result<()> {
    for version in [7, 8, 13] {
        for (sent, answer) in [
            (&b""[..], &b""[..]),
            (b"\x03\xe8", b"\x03\xe8"),
            (b"\x03\xe9bye", b"\x03\xe9"),
            (b"\x0b\xb8\xc3\xa9", b"\x0b\xb8"),
            (b"\x13\x87", b"\x13\x87"),
        ] {
            let mut client = context.open_with(&Handshake::to("/echo").version(version))?;
            client.send([masked(Opcode::TEXT, "last"), masked(Opcode::CLOSE, sent)].concat())?;
            client.expect_text("last")?;
            client.expect(&Frame::new(Opcode::CLOSE, answer))?;
            client.expect_end()?;
        }
    }
    Ok(())
}

fn after_a_large_message(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    let payload = vec![7; 300_000];
    let frames = [
        masked(Opcode::BINARY, &payload),
        masked(Opcode::TEXT, "x"),
        masked(Opcode::PING, "y"),
    ];
    client.send(frames.concat())?;
    client.expect(&Frame::binary(&payload))?;
    client.expect_text("x")?;
    client.expect(&Frame::pong("y"))?;
    client.close()
}
