//! The client for any plugin.

use anyhow::Result;
use serde_json::json;

use crate::support::page::text;
use crate::support::{Context, cases};

cases! {
    "plugin page: texts and bytes are sent, and what comes is shown" => messages,
    "plugin page: a subprotocol is offered, and a close code is sent" => subprotocol,
    "plugin page: a refusal is told, and there is another attempt" => refusal,
}

fn messages(context: &Context) -> Result<()> {
    let page = context.open("plugin.html?path=/echo%3Froom%3D1")?;
    page.await_state("plugin", "open")?;
    page.until(
        "element('plugin-log').textContent.includes('/echo?room=1')",
        &json!([]),
    )?;
    page.fill("plugin-input", "Grüße, httpd")?;
    page.click("plugin-send")?;
    page.await_entry("plugin", text("received", "Grüße, httpd"))?;
    page.fill("plugin-binary", "00 7fFF")?;
    page.click("plugin-send-binary")?;
    for kind in ["sent", "received"] {
        page.await_entry("plugin", text(kind, "binary, 3 bytes: 00 7f ff"))?;
    }
    page.click("plugin-disconnect")?;
    page.await_state("plugin", "closed")
}

fn subprotocol(context: &Context) -> Result<()> {
    let page =
        context.open("plugin.html?path=/subprotocol&protocols=other.example,reverse.example")?;
    page.await_state("plugin", "open")?;
    page.await_text("plugin-protocol", "reverse.example")?;
    page.fill("plugin-input", "abc")?;
    page.click("plugin-send")?;
    page.await_entry("plugin", text("received", "cba"))?;
    page.fill("plugin-code", "3456")?;
    page.fill("plugin-reason", "enough")?;
    page.click("plugin-close")?;
    page.await_entry("plugin", text("info", "closed: code 3456"))
}

fn refusal(context: &Context) -> Result<()> {
    let page = context.open("plugin.html?path=/subprotocol")?;
    page.await_state("plugin", "waiting")?;
    page.await_entry(
        "plugin",
        text("info", "could not connect; httpd's error log may say why"),
    )?;
    page.click("plugin-disconnect")?;
    page.await_state("plugin", "closed")?;
    page.fill("plugin-protocols", "upper.example")?;
    page.click("plugin-connect")?;
    page.await_state("plugin", "open")
}
