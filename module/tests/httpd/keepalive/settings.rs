//! The directives for keepalive: defaults, merging, bad values.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::ways::start;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};

cases! {
    "keepalive: a bad time is a configuration error that says what is allowed" => bad_times,
    "keepalive: a location may set other times than its server, and inherits the rest" => merging,
    "keepalive: by default nothing is sent in the first seconds" => defaults,
}

fn bad_times(context: &Context) -> Result<()> {
    for (directive, words) in [
        ("WebSocketPingInterval -1", ", or Off, not '-1'"),
        ("WebSocketPingInterval 0", "from 100ms to 8760h, or Off"),
        ("WebSocketPingInterval 5m", "500ms, 30s, 5min or 1h"),
        ("WebSocketPingTimeout Off", "from 100ms to 8760h, not 'Off'"),
        ("WebSocketIdleTimeout never", "or Off, not 'never'"),
        ("WebSocketMaxLifetime 99999999999h", "8760h, or Off"),
    ] {
        let checked = context.root()?.config(directive).check_config()?;
        let name = directive.split(' ').next().unwrap_or_default();
        let is_explained = [words, name]
            .iter()
            .all(|word| checked.message.contains(word));
        ensure!(
            !checked.ok && is_explained,
            "{directive}: {}",
            checked.message
        );
    }
    let all = "WebSocketPingInterval 1min\nWebSocketPingTimeout 500ms\n\
               WebSocketIdleTimeout oFF\nWebSocketMaxLifetime 24h\n";
    for (start, end) in [
        ("", ""),
        ("<VirtualHost *:80>\n", "</VirtualHost>"),
        ("<Location /x>\n", "</Location>"),
    ] {
        let checked = context
            .root()?
            .config(format!("{start}{all}{end}"))
            .check_config()?;
        ensure!(checked.ok, "{start}: {}", checked.message);
    }
    Ok(())
}

fn merging(context: &Context) -> Result<()> {
    let inner = "<Location /echo>\nWebSocketPingTimeout 300ms\n</Location>\n\
                 <Location /twin_a>\nWebSocketPingInterval Off\n</Location>\n";
    let config = format!("WebSocketPingInterval 300ms\nWebSocketPingTimeout 1h\n{inner}");
    let httpd = start(context, &config)?;
    let open = |target| Client::open(httpd.address(), &Handshake::to(target));
    let (mut echo, mut unpinged, mut other) = (open("/echo")?, open("/twin_a")?, open("/nul")?);
    // The interval is the server's, the timeout the location's.
    for expected in [Opcode::PING, Opcode::CLOSE] {
        let frame = echo.frame()?;
        ensure!(frame.first_byte == expected, "{frame:?}");
    }
    let ping = other.frame()?;
    ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
    let late = Duration::from_millis(700);
    other.stream.set_read_timeout(Some(late))?;
    ensure!(other.next_frame().is_err(), "the timeout is an hour");
    unpinged.text("who")?;
    let frame = unpinged.frame()?;
    ensure!(frame == Frame::text("a"), "{frame:?}");
    Ok(())
}

fn defaults(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let started = Instant::now();
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(3)))?;
    let came = client.next_frame();
    ensure!(came.is_err(), "{came:?} after {:?}", started.elapsed());
    Ok(())
}
