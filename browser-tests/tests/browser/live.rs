//! Plugins that send without being asked.

use anyhow::Result;
use serde_json::json;

use crate::support::{Context, cases};

cases! {
    "the ticker's clock advances, and all pages show the same time" => ticker,
    "the counter counts up from 0, and Reset starts it again" => increment,
    "players in a room share a counter, and see each other" => counter,
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
        const both = [one, other].map((socket) => next(socket, 'message'));
        const [first, same] = await Promise.all(both);
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

fn counter(context: &Context) -> Result<()> {
    let one = context.open("counter.html#duel")?;
    let other = context.open("counter.html#duel")?;
    for (page, name) in [(&one, "alice"), (&other, "bob")] {
        page.await_state("counter", "open")?;
        page.fill("counter-name", name)?;
        page.click("counter-rename")?;
        page.until(
            "element('counter-players').textContent.includes(args[0])",
            &json!([name]),
        )?;
    }
    let value = "return Number(element('counter-value').textContent)";
    let before = one.run(value, &json!([]))?.as_u64().unwrap_or_default();
    one.click("counter-click")?;
    for page in [&one, &other] {
        page.until(
            "Number(element('counter-value').textContent) === args[0]",
            &json!([before + 1]),
        )?;
        page.until(
            "element('counter-last').textContent === 'alice'",
            &json!([]),
        )?;
    }
    other.click("counter-click")?;
    one.until("element('counter-last').textContent === 'bob'", &json!([]))
}
