//! The server's answers to offers of compression (RFC 7692, section 7.1).

use anyhow::{Result, ensure};

use crate::deflate::{TARGETS, offer};
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "compression: it is off by default" => off_by_default,
    "compression: the first acceptable offer of all headers is accepted" => offers,
    "compression: a client without offers or with bad offers is served" => no_offers,
    "compression: versions 7 and 8 have no compression" => drafts,
    "compression: each setting is inherited separately" => merging,
}

fn answer(context: &Context, handshake: &Handshake) -> Result<Option<String>> {
    let response = Client::ask(context.address()?, handshake)?;
    ensure!(response.status == 101, "{response:?}");
    let answer = response.header("Sec-WebSocket-Extensions");
    Ok(answer.map(str::to_owned))
}

fn off_by_default(context: &Context) -> Result<()> {
    for target in ["/echo", "/compressed/off"] {
        let handshake = offer(target, "permessage-deflate");
        ensure!(answer(context, &handshake)?.is_none());
        let mut client = context.open_with(&handshake)?;
        client.echo(&"plain".repeat(100))?;
        client.close()?;
    }
    Ok(())
}

fn offers(context: &Context) -> Result<()> {
    let [shared, own] = TARGETS;
    let no_takeover = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let server_alone = "permessage-deflate; server_no_context_takeover";
    let small_window = "permessage-deflate; server_no_context_takeover; client_max_window_bits=12";
    for (target, headers, expected) in [
        // The server asks the client for nothing that it did not offer.
        (shared, &["permessage-deflate"][..], server_alone),
        (
            shared,
            &["permessage-deflate; client_no_context_takeover"],
            no_takeover,
        ),
        (
            shared,
            &["permessage-deflate; client_max_window_bits"],
            small_window,
        ),
        (own, &["permessage-deflate"], "permessage-deflate"),
        (
            own,
            &["permessage-deflate; client_no_context_takeover; client_max_window_bits=9"],
            "permessage-deflate; client_no_context_takeover",
        ),
        (
            own,
            &["permessage-deflate; server_max_window_bits=\"10\""],
            "permessage-deflate; server_max_window_bits=10",
        ),
        // A window that zlib does not support, then one that it does.
        (
            own,
            &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
            "permessage-deflate",
        ),
        (
            own,
            &[
                "x-other; a=\"1, 2\"",
                "permessage-deflate; unknown",
                "permessage-deflate; server_no_context_takeover",
                "permessage-deflate",
            ],
            "permessage-deflate; server_no_context_takeover",
        ),
    ] {
        let handshake = headers.iter().fold(Handshake::to(target), |all, header| {
            all.and("Sec-WebSocket-Extensions", header)
        });
        let answered = answer(context, &handshake)?;
        ensure!(
            answered.as_deref() == Some(expected),
            "{target} {headers:?}: {answered:?}"
        );
    }
    Ok(())
}

fn no_offers(context: &Context) -> Result<()> {
    for extensions in [
        None,
        Some("permessage-bzip2"),
        Some("permessage-deflate; server_max_window_bits"),
        Some("permessage-deflate; client_max_window_bits=16"),
        Some("permessage-deflate; server_no_context_takeover; server_no_context_takeover"),
        Some("permessage-deflate; \"; , =="),
    ] {
        let plain = Handshake::to("/compressed");
        let handshake = match extensions {
            Some(extensions) => plain.and("Sec-WebSocket-Extensions", extensions),
            None => plain,
        };
        ensure!(answer(context, &handshake)?.is_none(), "{extensions:?}");
        let mut client = context.open_with(&handshake)?;
        client.echo(&"plain".repeat(100))?;
        client.close()?;
    }
    Ok(())
}

fn drafts(context: &Context) -> Result<()> {
    for version in [7, 8] {
        let handshake = offer("/compressed", "permessage-deflate").version(version);
        ensure!(answer(context, &handshake)?.is_none());
        let mut client = context.open_with(&handshake)?;
        client.echo(&"plain".repeat(100))?;
        client.close()?;
    }
    Ok(())
}

fn merging(context: &Context) -> Result<()> {
    // The server switches compression on. A virtual host sets the context, and one of its locations
    // sets the opposite of each.
    let handler = context.plugins().handler("echo");
    let httpd = context.start(&format!(
        "{handler}\nSetHandler websocket-handler\nWebSocketCompression On\n\
         <VirtualHost *:*>\nServerName shared.example\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName own.example\nWebSocketCompressionContext Connection\n\
         <Location /off>\nWebSocketCompression Off\n</Location>\n</VirtualHost>\n"
    ))?;
    for (host, target, expected) in [
        (
            "shared.example",
            "/x",
            Some("permessage-deflate; server_no_context_takeover"),
        ),
        ("own.example", "/x", Some("permessage-deflate")),
        ("own.example", "/off", None),
    ] {
        let handshake = offer(target, "permessage-deflate").header("Host", host);
        let response = Client::ask(httpd.address(), &handshake)?;
        let answered = response.header("Sec-WebSocket-Extensions");
        ensure!(answered == expected, "{host}{target}: {answered:?}");
    }
    Ok(())
}
