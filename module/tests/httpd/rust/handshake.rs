//! What a plugin sees of the opening handshake, and how it may answer.

use anyhow::{Context as _, Result, ensure};
use xtask::port;

use super::{CREDENTIALS, ask, location, open, root_with_user};
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "Rust plugins see the request" => request,
    "Rust plugins see what is not there as None" => absent,
    "Rust plugins see whether the client came over TLS" => tls,
    "Rust plugins see all headers of the request" => headers,
    "Rust plugins refuse with the status they choose" => rejections,
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
    // In Latin 1, which is no UTF-8, so that the header is left out.
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
    for status in [400, 401, 403, 404, 409, 429, 500, 501, 503] {
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
    let response = Client::ask(httpd.address(), &Handshake::to("/witness?status=200"))?;
    ensure!(response.status == 404, "{response:?}");
    let response = Client::ask(httpd.address(), &Handshake::to("/witness?status=x"))?;
    ensure!(response.status == 500, "{response:?}");
    let mut client = open(&httpd, "/witness")?;
    ask(&mut client, "method", "GET")
}
