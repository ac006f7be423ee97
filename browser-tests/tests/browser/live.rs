//! Plugins that send without being asked.

use anyhow::Result;
use serde_json::json;

use crate::support::{Context, cases};

cases! {
    "the ticker's clock advances, and all pages show the same time" => ticker,
    "the counter counts up from 0, and Reset starts it again" => increment,
}

fn ticker(context: &Context) -> Result<()> {
    let page = context.open("ticker.html")?;
    page.until(
        "element('ticker-value').textContent.endsWith('.000')",
        &json!([]),
    )?;
    page.until(
        "element('ticker-interval').textContent.endsWith(' ms')",
        &json!([]),
    )?;
    page.expect(
        "const [one, other] = [await open('/ticker'), await open('/ticker')];
        const [first, same] = await Promise.all([one, other].map((socket) => next(socket, 'message')));
        const second = await next(one, 'message');
        return [first.data === same.data, Number(second.data) > Number(first.data)]",
        &json!([]),
        &json!([true, true]),
    )
}

fn increment(context: &Context) -> Result<()> {
    let page = context.open("dumb-increment.html")?;
    page.until(
        "Number(element('increment-value').textContent) >= 5",
        &json!([]),
    )?;
    page.until(
        "element('increment-rate').textContent.endsWith(' / s')",
        &json!([]),
    )?;
    page.click("increment-reset")?;
    page.until("element('increment-value').textContent < 5", &json!([]))?;
    page.until(
        "Number(element('increment-value').textContent) >= 5",
        &json!([]),
    )?;
    page.expect(
        "const socket = await open('/dumb-increment', ['dumb-increment-protocol']);
        const numbers = [];
        while (numbers.length < 3) {
            numbers.push((await next(socket, 'message')).data);
        }
        return [socket.protocol, numbers]",
        &json!([]),
        &json!(["dumb-increment-protocol", ["0", "1", "2"]]),
    )
}
