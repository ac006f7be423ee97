//! The echo page: each message comes back with the same content and type.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::page::{Entry, Page, text};
use crate::support::{Context, cases};

cases! {
    "text comes back as text" => texts,
    "binary comes back as binary" => binary,
    "the echo client on the start page works" => demo_page,
    "the echo plugin in C works" => endpoint_in_c,
    "text and binary messages of 1 MiB come back unchanged" => big,
    "many messages in flight come back in order" => many,
    "messages are compressed if the server is configured so, and otherwise not" => compression,
}

pub(crate) fn open(context: &Context) -> Result<Page> {
    let page = context.open("echo.html")?;
    page.await_state("echo", "open")?;
    Ok(page)
}

fn send(page: &Page, message: &str) -> Result<()> {
    page.fill("echo-input", message)?;
    page.click("echo-send")?;
    page.await_entry("echo", text("sent", message))?;
    page.await_entry("echo", text("received", message))
}

fn texts(context: &Context) -> Result<()> {
    let page = open(context)?;
    for message in ["Hello, httpd!", "Grüße, \u{4e16}\u{754c}", ""] {
        send(&page, message)?;
    }
    let rtt = page.text("echo-rtt")?;
    ensure!(rtt.ends_with(" ms"), "round trip: {rtt}");
    page.expect(
        "return exchange(await open('/echo'), args)",
        &json!("\u{1f980} beyond the BMP, and \0"),
        &json!("\u{1f980} beyond the BMP, and \0"),
    )
}

fn binary(context: &Context) -> Result<()> {
    let page = open(context)?;
    for size in ["0", "1", "70000"] {
        page.fill("echo-binary-size", size)?;
        page.click("echo-send-binary")?;
        for kind in ["sent", "received"] {
            page.await_entry(
                "echo",
                Entry(kind, "binary", &format!("binary, {size} bytes")),
            )?;
        }
    }
    page.expect(
        "return [...new Uint8Array(await exchange(await open('/echo'), Uint8Array.of(...args)))]",
        &json!([0, 255, 128, 10]),
        &json!([0, 255, 128, 10]),
    )
}

fn demo_page(context: &Context) -> Result<()> {
    let page = context.open("")?;
    page.await_state("echo", "open")?;
    send(&page, "from the front page")
}

fn endpoint_in_c(context: &Context) -> Result<()> {
    let page = context.open("echo.html?endpoint=/c/echo")?;
    page.await_state("echo", "open")?;
    page.until("echo.socket.socket.url.endsWith('/c/echo')", &json!([]))?;
    send(&page, "through C")
}

fn big(context: &Context) -> Result<()> {
    let page = open(context)?;
    page.fill("echo-binary-size", "1048576")?;
    page.click("echo-send-binary")?;
    page.await_entry("echo", Entry("received", "binary", "binary, 1048576 bytes"))?;
    page.expect(
        "const socket = await open('/echo');
        // Nothing that a compressor could make small.
        const bytes = new Uint8Array(2 ** 20);
        for (let i = 0; i < bytes.length; i += 65536) {
            crypto.getRandomValues(bytes.subarray(i, i + 65536));
        }
        const letters = Array.from(bytes, (byte) => String.fromCharCode(0x20 + byte));
        const text = letters.join('').slice(0, 700000);
        const back = new Uint8Array(await exchange(socket, bytes));
        return [
            back.length === bytes.length && back.every((byte, i) => byte === bytes[i]),
            new TextEncoder().encode(text).length > 2 ** 20
                && (await exchange(socket, text)) === text,
        ]",
        &json!([]),
        &json!([true, true]),
    )
}

fn many(context: &Context) -> Result<()> {
    open(context)?.expect(
        "const socket = await open('/echo');
        const back = [];
        const all = new Promise((resolve) => {
            socket.onmessage = ({ data }) => back.push(data) === 1000 && resolve();
        });
        const sent = Array.from({ length: 1000 }, (_, i) => `${i}`.repeat(1 + (i % 200)));
        sent.forEach((text) => socket.send(text));
        await all;
        return back.every((text, i) => text === sent[i])",
        &json!([]),
        &json!(true),
    )
}

fn compression(context: &Context) -> Result<()> {
    let negotiated = "const socket = await open('/echo');
        const items = Array.from({ length: 500 }, (_, i) => ({ id: i, name: `item ${i}` }));
        const text = JSON.stringify(items);
        const bytes = new Uint8Array(2 ** 20);
        const back = new Uint8Array(await exchange(socket, bytes));
        return [
            socket.extensions,
            (await exchange(socket, text)) === text,
            back.length === bytes.length && back.every((byte) => byte === 0),
        ]";
    open(context)?.expect(negotiated, &json!([]), &json!(["", true, true]))?;
    for (kept, extensions) in [
        (
            "Shared",
            // Chromium offers client_max_window_bits.
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
        ),
        ("Connection", "permessage-deflate"),
    ] {
        let httpd = context.start(&format!(
            "WebSocketCompression On\nWebSocketCompressionContext {kept}"
        ))?;
        let page = context.open_on(&httpd, "echo.html")?;
        page.await_state("echo", "open")?;
        page.expect(negotiated, &json!([]), &json!([extensions, true, true]))?;
    }
    Ok(())
}
