//! Which origins may connect.

use anyhow::{Result, ensure};
use xtask::port;
use xtask::server_root::Mpm;

use crate::support::journal::Journal;
use crate::support::{Client, Context, Handshake, PATIENCE, cases};

cases! {
    "by default the origin must be the site itself" => same,
    "version 7 uses another header for the origin" => version_7,
    "Trusted accepts the origins listed" => trusted,
    "a trusted origin that no browser sends causes a warning with the right form" => useless,
    "Off accepts every origin" => off,
    "an IPv6 address must be in brackets" => ipv6,
    "over TLS the scheme is https" => tls,
    "a refused origin is logged with the expected one and the plugin is not called" => refusal,
    "each refused origin is logged once a minute, and their number is limited" => quiet,
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
        ("localhost", "HTTP://localhost", true),
        ("localhost:8080", "http://LOCALHOST:8080", true),
        ("localhost.:8080", "http://localhost.:8080", true),
        ("localhost.", "http://localhost.", true),
        ("localhost", "http://localhost.", true),
        ("localhost.", "http://localhost", true),
        ("localhost.", "http://localhost..", false),
        ("localhost", "http://localhost:80", true),
        ("localhost:8080", "http://localhost.:8081", false),
        ("localhost", "http://localhost.evil.example.", false),
        ("localhost", "http://.", false),
        ("localhost", "http://user@localhost", false),
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
        ("http://C.example", true),
        ("HTTP://c.example.", true),
        ("http://c.example:80", true),
        ("http://c.example:81", false),
        ("http://c.example:080", false),
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
    let journal = Journal::new(context)?;
    let config = format!(
        "{}\n<Location /list>\nWebSocketOriginCheck Trusted\n\
         WebSocketTrustedOrigin https://a.example https://b.example\n</Location>\n",
        context.plugins().location("/list", "journal", "")
    );
    let httpd = context.start(&config)?;
    for (path, origin, words) in [
        (
            "/journal",
            "http://refused.example",
            &["'http://site.example:8080'", "WebSocketOriginCheck Trusted"][..],
        ),
        // A proxy in front terminates TLS.
        (
            "/journal",
            "https://site.example",
            &[
                "'http://site.example:8080'",
                "ServerName https://site.example",
            ],
        ),
        (
            "/list",
            "http://site.example:8080",
            &["WebSocketTrustedOrigin http://site.example:8080"],
        ),
        ("/list", "null", &["WebSocketTrustedOrigin null"]),
    ] {
        let handshake = journal
            .handshake(path)
            .header("Host", "site.example:8080")
            .header("Origin", origin);
        let response = Client::ask(httpd.address(), &handshake)?;
        ensure!(response.status == 403, "{response:?}");
        let line = httpd.wait_for_log(&format!("the origin '{origin}'"), PATIENCE)?;
        for word in [&[":warn]"][..], words].concat() {
            ensure!(line.contains(word), "no {word} in {line}");
        }
    }
    ensure!(journal.lines()?.is_empty(), "{:?}", journal.lines()?);
    Ok(())
}

fn quiet(context: &Context) -> Result<()> {
    let httpd = context.start_small(4, "")?;
    let refuse = |origin: &str| {
        let handshake = Handshake::to("/echo").header("Origin", origin);
        let response = Client::ask(httpd.address(), &handshake)?;
        ensure!(response.status == 403, "{response:?}");
        Ok(())
    };
    let lines = |text: &str| -> Result<usize> {
        let log = httpd.error_log()?;
        let is_one = |line: &&str| line.contains(":warn]") && line.contains(text);
        Ok(log.lines().filter(is_one).count())
    };
    for _ in 0..5 {
        refuse("http://again.example")?;
    }
    // httpd writes the line before it answers. On prefork several processes serve the clients.
    let most = if context.mpm == Mpm::Prefork { 5 } else { 1 };
    let count = lines("http://again.example")?;
    ensure!((1..=most).contains(&count), "{count} lines");
    for number in 0..200 {
        refuse(&format!("http://flood-{number}.example"))?;
    }
    let count = lines("http://flood-")?;
    ensure!((1..=40 * most).contains(&count), "{count} lines");
    Ok(())
}

fn useless(context: &Context) -> Result<()> {
    let origins = [
        ("https://shop.example/", "https://shop.example"),
        ("https://shop.example/path?x", "https://shop.example"),
        ("shop.example", "https://shop.example"),
        ("shop.example:8443", "https://shop.example:8443"),
        ("wss://shop.example", "https://shop.example"),
        ("https://*.shop.example", "each"),
        ("*", "WebSocketOriginCheck Off"),
        ("https://user@shop.example", "https://shop.example"),
        ("https://sh\u{f6}p.example", "xn--"),
        ("https://a.example,https://b.example", "spaces"),
        ("NULL", "null"),
        ("https://shop.example:99999", "port"),
        ("https://", "host"),
    ];
    let good = [
        "https://Shop.Example",
        "https://shop.example:443",
        "http://[::1]:8080",
        "null",
        "file://",
        "chrome-extension://abcdefghijklmnop",
        "capacitor://localhost",
    ];
    let mut config = String::from("<Location /echo>\nWebSocketOriginCheck Trusted\n");
    for (origin, _) in origins {
        config += &format!("WebSocketTrustedOrigin \"{origin}\"\n");
    }
    config += &format!("WebSocketTrustedOrigin {}\n</Location>\n", good.join(" "));
    let httpd = context.start(&config)?;
    for (origin, remedy) in origins {
        let line = httpd.wait_for_log(&format!("WebSocketTrustedOrigin '{origin}'"), PATIENCE);
        // httpd escapes bytes that are not ASCII.
        let line = if origin.is_ascii() {
            line?
        } else {
            httpd.wait_for_log("xn--", PATIENCE)?
        };
        for word in [":warn]", "httpd.conf:", remedy] {
            ensure!(line.contains(word), "no {word} in {line}");
        }
    }
    let log = httpd.error_log()?;
    for origin in good {
        let is_named = log.contains(&format!("WebSocketTrustedOrigin '{origin}'"));
        ensure!(!is_named, "{origin} is named: {log}");
    }
    for (origin, status) in [
        ("https://shop.example", 101),
        ("https://shop.example.", 101),
        ("http://shop.example", 403),
        ("null", 101),
        ("file://", 101),
        ("chrome-extension://abcdefghijklmnop", 101),
        ("capacitor://localhost", 101),
        ("capacitor://localhost:80", 403),
        ("https://b.example", 403),
        // A client that is not a browser may still send anything.
        ("shop.example:8443", 101),
    ] {
        let handshake = Handshake::to("/echo").header("Origin", origin);
        let response = Client::ask(httpd.address(), &handshake)?;
        ensure!(response.status == status, "{origin}: {response:?}");
    }
    Ok(())
}
