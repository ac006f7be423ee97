//! Compressed messages both ways.

use anyhow::{Result, ensure};

use crate::deflate::{Deflated, RSV1, TARGETS, offer, text};
use crate::support::frame::masked;
use crate::support::{Client, Context, Driver, Frame, Opcode, cases};
use xtask::process::resident_kib;

cases! {
    "compression: messages go both ways in every context and window" => both_ways,
    "compression: a message refers to the previous one only with context takeover" => takeover,
    "compression: WebSocketCompressionLevel says how small messages get, in sections, too" => levels,
    "compression: messages that are short or do not shrink are sent uncompressed" => plain_messages,
    "compression: fragments make one message, control frames between them" => fragments,
    "compression: a frame may arrive byte by byte" => byte_by_byte,
    "compression: many messages are answered in order" => pipelined,
    "compression: messages of 1 MiB and 16 MiB go both ways" => large_messages,
    "compression: TLS makes no difference" => tls,
    "compression: plugins in Rust see whole messages too" => rust,
    "compression: an idle connection holds neither compressor nor inflater" => idle,
    "compression: on_connect and threads may send, and order is kept" => threads,
}

fn both_ways(context: &Context) -> Result<()> {
    for target in TARGETS {
        for parameters in [
            "",
            "; server_no_context_takeover",
            "; client_no_context_takeover",
            "; server_max_window_bits=9",
            "; server_max_window_bits=12; server_no_context_takeover; client_max_window_bits=10",
        ] {
            let offer = format!("permessage-deflate{parameters}");
            let mut client = Deflated::open(context, target, &offer)?;
            for (number, length) in [(0, 256), (1, 1000), (1, 1000), (2, 40_000), (3, 300_000)] {
                client.echo_text(&text(number, length))?;
            }
            client.echo(Opcode::BINARY, &[0; 10_000])?;
            client.client.close()?;
        }
    }
    Ok(())
}

fn takeover(context: &Context) -> Result<()> {
    let message = text(0, 2000);
    for (target, parameters, refers) in [
        ("/compressed", "", false),
        ("/compressed/own", "", true),
        ("/compressed/own", "; server_no_context_takeover", false),
    ] {
        let offer = format!("permessage-deflate{parameters}");
        let mut client = Deflated::open(context, target, &offer)?;
        let first = client.echo_text(&message)?;
        let second = client.echo_text(&message)?;
        ensure!(first > 500, "{first}");
        ensure!(
            if refers { second < 50 } else { second == first },
            "{target}{parameters}: {first}, then {second}"
        );
        client.client.close()?;
    }
    Ok(())
}

/// Compressed messages in between show that both ends still agree on the context.
fn levels(context: &Context) -> Result<()> {
    let at = |path, directives: &str| context.plugins().location(path, "echo", directives);
    let httpd = context
        .root()?
        .config("WebSocketCompression On\nWebSocketCompressionLevel 1")
        .config(at("/low", "") + &at("/high", "WebSocketCompressionLevel 9"))
        .config("<Location /high/inner>\nWebSocketCompressionThreshold 9\n</Location>")
        .config("<Location /high/low>\nWebSocketCompressionLevel 1\n</Location>")
        .start()?;
    let items = (0..500_u32).map(|number| format!("{{\"id\":{number},\"odd\":{}}}", number % 7));
    let items = items.collect::<Vec<_>>().join(",");
    let length = |path| -> Result<usize> {
        let client = Client::connect(httpd.address())?;
        Deflated::over(client, &offer(path, "permessage-deflate"))?.echo_text(&items)
    };
    let (low, high) = (length("/low")?, length("/high")?);
    ensure!(high < low, "{high} and {low} bytes");
    ensure!(length("/high/inner")? == high && length("/high/low")? == low);
    Ok(())
}

fn plain_messages(context: &Context) -> Result<()> {
    let mut random = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_be_bytes()[0]
    })
    .take(5000)
    .collect();
    for target in TARGETS {
        let mut client = Deflated::open(context, target, "permessage-deflate")?;
        client.echo_text(&text(0, 256))?;
        let short = text(1, 255);
        client.send(Opcode::TEXT, short.as_bytes())?;
        client.client.expect_text(&short)?;
        client.client.echo("plain")?;
        client.echo_text(&text(0, 1000))?;
        client.send(Opcode::BINARY, &noise)?;
        client.client.expect(&Frame::binary(&noise))?;
        client.echo_text(&text(0, 1000))?;
        client.send(Opcode::TEXT, b"")?;
        client.client.expect_text("")?;
        client.client.close()?;
    }
    Ok(())
}

fn fragments(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut client = Deflated::open(context, target, "permessage-deflate")?;
        for number in 0..3 {
            let message = text(number, 3000);
            let payload = client.deflate(message.as_bytes())?;
            let (first, rest) = payload.split_at(1);
            let (middle, last) = rest.split_at(700);
            let frames = [
                masked(Opcode::FIRST_TEXT | RSV1, first),
                masked(Opcode::PING, "in between"),
                masked(Opcode::MIDDLE, middle),
                masked(Opcode::MIDDLE, ""),
                masked(Opcode::PONG, "ignored"),
                masked(Opcode::LAST, last),
            ];
            client.client.send(frames.concat())?;
            client.client.expect(&Frame::pong("in between"))?;
            let (received, _) = client.receive(Opcode::TEXT)?;
            ensure!(received == message.as_bytes());
        }
        client.client.close()?;
    }
    Ok(())
}

fn byte_by_byte(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut client = Deflated::open(context, target, "permessage-deflate")?;
        let message = text(0, 400);
        let payload = client.deflate(message.as_bytes())?;
        for byte in masked(Opcode::TEXT | RSV1, payload) {
            client.client.send([byte])?;
        }
        let (received, _) = client.receive(Opcode::TEXT)?;
        ensure!(received == message.as_bytes());
        client.client.close()?;
    }
    Ok(())
}

fn pipelined(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut client = Deflated::open(context, target, "permessage-deflate")?;
        let mut frames = Vec::new();
        for number in 0..500 {
            let payload = client.deflate(text(number, 300).as_bytes())?;
            frames.extend(masked(Opcode::TEXT | RSV1, payload));
        }
        client.client.send(frames)?;
        for number in 0..500 {
            let (received, _) = client.receive(Opcode::TEXT)?;
            ensure!(received == text(number, 300).as_bytes(), "{number}");
        }
        client.client.close()?;
    }
    Ok(())
}

fn large_messages(context: &Context) -> Result<()> {
    for target in TARGETS {
        let mut client = Deflated::open(context, target, "permessage-deflate")?;
        for length in [1 << 20, 16 << 20, 1 << 20] {
            let message: Vec<u8> = (0..=250).cycle().take(length).collect();
            client.echo(Opcode::BINARY, &message)?;
            let message = text(7, length / 4);
            client.echo_text(&message)?;
        }
        client.client.close()?;
    }
    Ok(())
}

fn tls(context: &Context) -> Result<()> {
    for target in TARGETS {
        let client = Client::connect_tls(&*context.httpd()?)?;
        let mut client = Deflated::over(client, &offer(target, "permessage-deflate"))?;
        for length in [256, 16_384, 100_000, 1 << 20] {
            client.echo_text(&text(5, length))?;
            client.echo_text(&text(5, length))?;
        }
        client.client.close()?;
    }
    Ok(())
}

fn rust(context: &Context) -> Result<()> {
    let mut client = Deflated::open(context, "/compressed/rust", "permessage-deflate")?;
    for length in [256, 5000, 1 << 20] {
        client.echo_text(&text(9, length))?;
        client.echo(Opcode::BINARY, text(9, length).as_bytes())?;
    }
    client.client.close()
}

/// The messages of each thread arrive in order. Messages that on_connect sent before the 101
/// response come first.
fn threads(context: &Context) -> Result<()> {
    const MESSAGES: usize = 200;
    for (target, version) in [
        ("/compressed/crowd", "permessage-deflate"),
        ("/compressed/crowd/own", "permessage-deflate"),
        (
            "/compressed/crowd/own",
            "permessage-deflate; server_max_window_bits=9",
        ),
    ] {
        let handshake = offer(target, version).and("X-Number", &MESSAGES.to_string());
        let mut client = Deflated::open_with(context, &handshake)?;
        let (welcome, length) = client.receive(Opcode::TEXT)?;
        ensure!(welcome == [b'w'; 1000] && length < 50, "{length}");
        let mut next = [0; 4];
        while next.iter().sum::<usize>() < next.len() * MESSAGES {
            let message = String::from_utf8(client.receive_any(Opcode::TEXT)?)?;
            let mut words = message.split(' ');
            let thread: usize = words.next().unwrap_or_default()[1..].parse()?;
            let number: usize = words.next().unwrap_or_default().parse()?;
            ensure!(
                number == next[thread],
                "{number} instead of {}",
                next[thread]
            );
            next[thread] += 1;
        }
        client.send(Opcode::TEXT, b"go on")?;
        client.client.expect_text("done")?;
        client.client.close()?;
    }
    Ok(())
}

/// An inflater or a compressor would take more than 40 KiB. Not measured if each connection has a
/// thread, which takes memory itself, or on prefork, whose processes cannot be compared.
fn idle(context: &Context) -> Result<()> {
    const CONNECTIONS: u64 = 200;
    if context.driver != Driver::Event {
        return Ok(());
    }
    let plugins = context.plugins();
    let locations = [
        plugins.location("/compressed", "echo", "WebSocketCompression On"),
        "AsyncRequestWorkerFactor 100".to_owned(),
    ];
    let httpd = context.start_small(8, &locations.concat())?;
    let child = httpd.child_pids()?.pop().expect("a child");
    let open = |target: &str, use_it: fn(Client) -> Result<Client>| {
        let handshake = offer(target, "permessage-deflate");
        let connect = || use_it(Client::open(httpd.address(), &handshake)?);
        // After the connections that make a process allocate its own data.
        let mut clients = vec![connect()?, connect()?];
        let before = resident_kib(child)?;
        for _ in 0..CONNECTIONS {
            clients.push(connect()?);
        }
        anyhow::Ok((resident_kib(child)?.saturating_sub(before), clients))
    };
    let (plain, _clients) = open("/echo", |mut client| {
        client.echo(&text(0, 1000))?;
        Ok(client)
    })?;
    let (compressed, _clients) = open("/compressed", |client| {
        let mut client = Deflated::without_context(client);
        client.echo_text(&text(0, 1000))?;
        Ok(client.client)
    })?;
    ensure!(
        compressed < plain + 4 * CONNECTIONS,
        "{compressed} KiB instead of {plain}"
    );
    Ok(())
}
