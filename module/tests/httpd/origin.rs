//! Which origins may connect.

use anyhow::{Result, ensure};
use xtask::port;

use crate::support::{Client, Context, Handshake, cases};

cases! {
    "by default the origin must be the site itself" => same,
    "version 7 has a header of its own for the origin" => version_7,
    "Trusted accepts the origins listed, byte for byte" => trusted,
    "Off accepts every origin" => off,
    "an IPv6 address stands in brackets" => ipv6,
    "behind TLS the scheme is https" => tls,
    "a refused origin is logged, and the plugin not asked" => refusal,
}

fn expect(context: &Context, handshake: &Handshake, allowed: bool) -> Result<()> {
    let response = Client::ask(context.address()?, handshake)?;
    let expected = if allowed { 101 } else { 403 };
    let request = String::from_utf8_lossy(&handshake.to_bytes()).into_owned();
    ensure!(response.status == expected, "{response:?} to\n{request}");
    Ok(())
}

fn same(context: &Context) -> Result<()> {
    let cases = [
        ("localhost", "http://localhost", true),
        ("localhost:80", "http://localhost", true),
        ("localhost:8080", "http://localhost:8080", true),
        ("LOCALHOST:8080", "http://localhost:8080", true),
        ("localhost:8080", "http://localhost:8081", false),
        ("localhost:8080", "http://localhost", false),
        ("localhost", "https://localhost", false),
        ("localhost", "http://localhost/", false),
        ("localhost", "http://localhost.evil.example", false),
        ("localhost", "http://evil.example", false),
        ("localhost", "HTTP://localhost", false),
        ("localhost", "null", false),
        ("localhost:443", "http://localhost:443", true),
        ("127.0.0.1:81", "http://127.0.0.1:81", true),
        ("[::1]", "http://[::1]", true),
        ("[::1]:8080", "http://[::1]:8080", true),
    ];
    expect(context, &Handshake::to("/echo"), true)?;
    for (host, origin, allowed) in cases {
        let handshake = Handshake::to("/echo")
            .header("Host", host)
            .header("Origin", origin);
        expect(context, &handshake, allowed)?;
    }
    Ok(())
}

fn version_7(context: &Context) -> Result<()> {
    let handshake = |version| Handshake::to("/echo").version(version);
    for (version, name, counts) in [
        (7, "Sec-WebSocket-Origin", true),
        (7, "Origin", false),
        (8, "Origin", true),
        (8, "Sec-WebSocket-Origin", false),
        (13, "Sec-WebSocket-Origin", false),
    ] {
        expect(
            context,
            &handshake(version).header(name, "http://localhost"),
            true,
        )?;
        expect(
            context,
            &handshake(version).header(name, "http://evil.example"),
            !counts,
        )?;
    }
    Ok(())
}

fn trusted(context: &Context) -> Result<()> {
    let cases = [
        ("http://a.example", true),
        ("https://b.example:81", true),
        ("http://c.example", true),
        ("http://C.example", false),
        ("https://a.example", false),
        ("https://b.example", false),
        ("http://localhost", false),
        ("http://a.example https://b.example:81", false),
        ("", false),
    ];
    expect(context, &Handshake::to("/origin/trusted"), true)?;
    for (origin, allowed) in cases {
        expect(
            context,
            &Handshake::to("/origin/trusted").header("Origin", origin),
            allowed,
        )?;
    }
    Ok(())
}

fn off(context: &Context) -> Result<()> {
    expect(
        context,
        &Handshake::to("/origin/off").header("Origin", "http://evil.example"),
        true,
    )
}

fn ipv6(context: &Context) -> Result<()> {
    if !port::has_ipv6_loopback() {
        return Ok(());
    }
    let port = context.address()?.port();
    let address = format!("[::1]:{port}").parse()?;
    let handshake = Handshake::to("/echo").header("Host", &format!("[::1]:{port}"));
    let right = handshake
        .clone()
        .header("Origin", &format!("http://[::1]:{port}"));
    ensure!(Client::ask(address, &right)?.status == 101);
    let wrong = handshake.header("Origin", &format!("http://::1:{port}"));
    ensure!(Client::ask(address, &wrong)?.status == 403);
    Ok(())
}

fn tls(context: &Context) -> Result<()> {
    let httpd = context.httpd()?;
    let port = httpd.tls_address().map_or(0, |address| address.port());
    let host = &format!("localhost:{port}");
    for (host, origin, status) in [
        (host, format!("https://{host}"), 101),
        (host, format!("http://{host}"), 403),
        (host, "https://localhost".to_owned(), 403),
        (
            &"localhost:443".to_owned(),
            "https://localhost".to_owned(),
            101,
        ),
        (
            &"localhost:80".to_owned(),
            "https://localhost".to_owned(),
            403,
        ),
        (
            &"localhost:80".to_owned(),
            "https://localhost:80".to_owned(),
            101,
        ),
    ] {
        let mut client = Client::connect_tls(&httpd)?;
        let handshake = Handshake::to("/echo")
            .header("Host", host)
            .header("Origin", &origin);
        client.send(handshake.to_bytes())?;
        let response = client.response()?;
        ensure!(response.status == status, "{origin}: {response:?}");
    }
    Ok(())
}

fn refusal(context: &Context) -> Result<()> {
    let journal = crate::support::journal::Journal::new(context)?;
    let origin = "http://refused.example";
    expect(
        context,
        &journal.handshake("/journal").header("Origin", origin),
        false,
    )?;
    context
        .httpd()?
        .wait_for_log(origin, crate::support::PATIENCE)?;
    ensure!(journal.lines()?.is_empty(), "{:?}", journal.lines()?);
    Ok(())
}
