//! The opening handshake as a plugin sees it, and the responses that it may choose.

use std::io::{Read, Write};

use anyhow::{Context as _, Result, ensure};
use xtask::port;

use super::{CREDENTIALS, ask, expect_log, location, open, root_with_user};
use crate::support::http2::Http2;
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "Rust plugins see the request" => request,
    "Rust plugins see absent facts as None" => absent,
    "senders know their client after the handshake" => senders,
    "senders of detached connections know their client after the handshake" => detached_senders,
    "Rust plugins see whether the client came over TLS" => tls,
    "Rust plugins see variables that the configuration sets, and those of TLS" => variables,
    "Rust plugins see whom a client certificate names" => client_certificate,
    "Rust plugins see all headers of the request" => headers,
    "Rust plugins refuse with the status they choose" => rejections,
    "Rust plugins refuse with headers and a body of their own" => rejections_with_more,
}

fn request(context: &Context) -> Result<()> {
    let (root, valid_user) = root_with_user(context)?;
    let httpd = root
        .config(location(context, "/witness", "witness", &valid_user))
        .start()?;
    let handshake = Handshake::to("/witness/r%6fom?a=b&c=%20")
        .header("Authorization", CREDENTIALS)
        .header("Sec-WebSocket-Protocol", "one, two");
    let mut client = Client::connect(httpd.address())?;
    let response = client.upgrade(&handshake)?;
    ensure!(response.header("X-Witness") == Some("here"), "{response:?}");
    for (fact, value) in [
        ("method", "GET"),
        ("uri", "/witness/r%6fom?a=b&c=%20"),
        ("path info", "/room"),
        ("query", "a=b&c=%20"),
        ("user", "user"),
        ("client", "127.0.0.1"),
        ("tls", "no"),
        ("subprotocols", "one two"),
    ] {
        ask(&mut client, fact, value).context(fact)?;
    }
    client.close()
}

fn senders(context: &Context) -> Result<()> {
    check_senders(context, "")
}

fn detached_senders(context: &Context) -> Result<()> {
    check_senders(context, "WebSocketDetach On\n")
}

fn check_senders(context: &Context, config: &str) -> Result<()> {
    let (root, valid_user) = root_with_user(context)?;
    let config = location(
        context,
        "/visitor",
        "visitor",
        &format!("{valid_user}\n{config}"),
    );
    let httpd = root.config(config).start()?;
    let handshake = Handshake::to("/visitor/r%6fom").header("Authorization", CREDENTIALS);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(httpd.address())?;
        client.upgrade(&handshake)?;
        let port = client.stream.local_addr()?.port();
        for _ in 0..2 {
            client.text("who")?;
            let answer = client.next_text()?;
            let (id, facts) = answer.split_once(' ').context("an id")?;
            let expected = format!(r#"Some({port}) Some("127.0.0.1") Some("user") Some("/room")"#);
            ensure!(facts == expected, "{facts}");
            seen.push(id.to_owned());
        }
        client.close()?;
    }
    ensure!(seen[0] == seen[1] && seen[2] == seen[3], "{seen:?}");
    Ok(())
}

fn absent(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .config(location(context, "/witness", "witness", ""))
        .start()?;
    let mut client = open(&httpd, "/witness")?;
    for fact in ["query", "user"] {
        ask(&mut client, fact, "(none)").context(fact)?;
    }
    for fact in ["path info", "subprotocols"] {
        ask(&mut client, fact, "").context(fact)?;
    }
    client.close()
}

fn tls(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .tls_port(port::free_port()?)
        .config(location(context, "/witness", "witness", ""))
        .start()?;
    let mut client = Client::open_tls(&httpd, &Handshake::to("/witness"))?;
    client.text("tls")?;
    client.expect_text("yes")?;
    client.close()
}

fn variables(context: &Context) -> Result<()> {
    let root = context.root()?.tls_port(port::free_port()?);
    let config = location(
        context,
        "/witness",
        "witness",
        "SetEnv COLOUR blue\nSetEnv EMPTY",
    );
    let httpd = context
        .with_http2(root.stock_module("env").config(config))?
        .start()?;
    let handshake = Handshake::to("/witness").header(
        "X-Variables",
        "COLOUR EMPTY ABSENT SSL_PROTOCOL SSL_CLIENT_VERIFY SSL_CLIENT_S_DN",
    );
    let configured = [
        ("$COLOUR", "blue"),
        ("$EMPTY", "(none)"),
        ("$ABSENT", "(none)"),
    ];
    let tls = [
        ("$SSL_PROTOCOL", "TLSv1.3"),
        ("$SSL_CLIENT_VERIFY", "NONE"),
        ("$SSL_CLIENT_S_DN", "(none)"),
    ];
    let client = Client::open(httpd.address(), &handshake)?;
    expect_variables(client, &configured)?;

    let all = [&configured[..], &tls].concat();
    expect_variables(Client::open_tls(&httpd, &handshake)?, &all).context("TLS")?;
    if context.serves_http2()? {
        let client = Http2::connect_tls(&httpd)?.open(&handshake)?;
        expect_variables(client, &all).context("HTTP/2")?;
    }
    Ok(())
}

fn client_certificate(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .tls_port(port::free_port()?)
        .config(location(context, "/witness", "witness", ""))
        .config("SSLVerifyClient optional\nSSLCACertificateFile conf/localhost.crt\n")
        .start()?;
    let handshake =
        Handshake::to("/witness").header("X-Variables", "SSL_CLIENT_VERIFY SSL_CLIENT_S_DN");
    let mut client = Client::connect_tls_with_certificate(&httpd)?;
    client.upgrade(&handshake)?;
    // The subject that rcgen gives if none is asked for.
    let subject = "CN=rcgen self signed cert";
    let named = [
        ("$SSL_CLIENT_VERIFY", "SUCCESS"),
        ("$SSL_CLIENT_S_DN", subject),
    ];
    expect_variables(client, &named)?;
    let nameless = [
        ("$SSL_CLIENT_VERIFY", "NONE"),
        ("$SSL_CLIENT_S_DN", "(none)"),
    ];
    expect_variables(Client::open_tls(&httpd, &handshake)?, &nameless)
}

fn expect_variables<S: Read + Write>(
    mut client: Client<S>,
    expected: &[(&str, &str)],
) -> Result<()> {
    for (variable, value) in expected {
        client.text(variable)?;
        client.expect_text(value).context((*variable).to_owned())?;
    }
    client.close()
}

fn headers(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .config(location(context, "/witness", "witness", ""))
        .start()?;
    let handshake = Handshake::to("/witness")
        .header("X-Latin", "caf\u{e9}")
        .and("X-Twice", "a")
        .and("X-Twice", "b");
    let mut bytes = handshake.to_bytes();
    let letter = bytes
        .windows(2)
        .position(|pair| pair == "\u{e9}".as_bytes());
    // In Latin 1, which is not UTF-8, so the header is left out.
    bytes[letter.context("no such letter")?] = b' ';
    let mut client = Client::connect(httpd.address())?;
    client.send(bytes)?;
    ensure!(client.response()?.status == 101);
    for (header, value) in [
        ("headers", "6"),
        ("Host", "localhost"),
        ("Sec-WebSocket-Version", "13"),
        ("X-Twice", "a, b"),
    ] {
        ask(&mut client, header, value).context(header)?;
    }
    client.close()
}

fn rejections(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .config(location(context, "/witness", "witness", ""))
        .start()?;
    for status in [
        300, 302, 304, 400, 401, 403, 404, 409, 418, 425, 429, 499, 500, 501, 503, 520, 599,
    ] {
        let handshake = Handshake::to(&format!("/witness?status={status}"));
        let response = Client::ask(httpd.address(), &handshake)?;
        ensure!(
            response.status == status,
            "{response:?} instead of {status}"
        );
        for name in ["Upgrade", "Sec-WebSocket-Accept", "X-Witness"] {
            ensure!(response.header(name).is_none(), "{response:?}");
        }
    }
    for (no_refusal, why) in [
        ("200", "the status of a refusal is from 300 to 599"),
        ("600", "the status of a refusal is from 300 to 599"),
        ("x", "invalid digit found in string"),
        ("404&header=Transfer-Encoding:chunked", "httpd sets it"),
    ] {
        let handshake = Handshake::to(&format!("/witness?status={no_refusal}"));
        let response = Client::ask(httpd.address(), &handshake)?;
        ensure!(response.status == 500, "{no_refusal}: {response:?}");
        expect_log(&httpd, why, &["[Witness] on_connect"])?;
    }
    let mut client = open(&httpd, "/witness")?;
    ask(&mut client, "method", "GET")
}

const CHALLENGES: &str = "/witness?status=401&header=WWW-Authenticate:Basic\
    &header=WWW-Authenticate:Bearer\
    &body=who-are-you?";

fn rejections_with_more(context: &Context) -> Result<()> {
    let root = context.root()?.config("ErrorDocument 401 \"not this page");
    let detached = location(context, "/detached", "witness", "WebSocketDetach On");
    let httpd = context
        .with_http2(root)?
        .config(location(context, "/witness", "witness", ""))
        .config(detached)
        .start()?;
    let mut client = Client::connect(httpd.address())?;
    // One connection for all, because each response must end where its length says.
    for target in [CHALLENGES, &CHALLENGES.replace("witness", "detached")] {
        client.send(Handshake::to(target).to_bytes())?;
        let (response, body) = client.page()?;
        ensure!(response.status == 401 && body == "who-are-you?", "{body}");
        let challenges = response.all("WWW-Authenticate");
        ensure!(challenges == ["Basic", "Bearer"], "{response:?}");
        let media_type = response.header("Content-Type");
        ensure!(
            media_type == Some("text/plain; charset=utf-8"),
            "{response:?}"
        );
    }
    for (target, status, header, value, page) in [
        (
            "status=302&header=Location:/login",
            302,
            "Location",
            "/login",
            "has moved",
        ),
        (
            "status=599&body=[]&header=Content-Type:application/json",
            599,
            "Content-Type",
            "application/json",
            "[]",
        ),
        (
            "status=403&header=X-Why:because",
            403,
            "X-Why",
            "because",
            "Forbidden",
        ),
    ] {
        client.send(Handshake::to(&format!("/witness?{target}")).to_bytes())?;
        let (response, body) = client.page()?;
        ensure!(
            response.status == status && body.contains(page),
            "{response:?} {body}"
        );
        ensure!(response.all(header) == [value], "{response:?}");
    }
    if context.serves_http2()? {
        let answer = Http2::connect(httpd.address())?.ask(&Handshake::to(CHALLENGES))?;
        ensure!(answer.response.status == 401, "{:?}", answer.response);
        let challenges = answer.response.headers.get_all("WWW-Authenticate");
        ensure!(
            challenges.iter().eq(["Basic", "Bearer"]),
            "{:?}",
            answer.response
        );
        let mut body = String::new();
        let mut stream = answer.client.stream;
        stream.read_to_string(&mut body)?;
        ensure!(body == "who-are-you?", "{body}");
    }
    Ok(())
}
