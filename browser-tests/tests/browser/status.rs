//! The page of `SetHandler websocket-status`.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::support::{Context, Page, cases};

cases! {
    "the status page is live over a WebSocket of its own, and draws charts" => live,
    "without a WebSocket the status page is updated by requests" => polling,
    "without JavaScript the status page is a table of what is open" => plain,
    "the status page is light or dark as the reader wishes" => looks,
}

fn location(directives: &str) -> String {
    format!("<Location /status>\nSetHandler websocket-status\n{directives}</Location>\n")
}

fn await_state(page: &Page, state: &str) -> Result<()> {
    page.until(
        "element('state').dataset.state === args[0]",
        &json!([state]),
    )
}

/// Waits until the figure of open WebSockets has this value.
fn await_open(page: &Page, count: u32) -> Result<()> {
    page.until(
        "document.querySelector('#sums [data-figure=open]').dataset.value === String(args[0])",
        &json!([count]),
    )
}

fn live(context: &Context) -> Result<()> {
    let httpd = context.start(&location(""))?;
    let page = context.open_on(&httpd, "status")?;
    await_state(&page, "live")?;
    // That of the page.
    await_open(&page, 1)?;
    page.run(
        "window.echo = await open('/echo'); await exchange(echo, 'a')",
        &json!([]),
    )?;
    await_open(&page, 2)?;
    page.until(
        "[...document.querySelectorAll('#locations th')]
            .some((cell) => cell.textContent === '/echo')",
        &json!([]),
    )?;
    page.until(
        "document.querySelector('[data-figure=received] polyline').getAttribute('points')
            .split(' ').length >= 3",
        &json!([]),
    )?;
    page.run("echo.close()", &json!([]))?;
    await_open(&page, 1)?;
    let complaints = page.complaints()?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

fn polling(context: &Context) -> Result<()> {
    let httpd = context.start(&location("WebSocketOriginCheck Trusted\n"))?;
    let page = context.open_on(&httpd, "status")?;
    await_state(&page, "polling")?;
    await_open(&page, 0)?;
    page.run("window.echo = await open('/echo')", &json!([]))?;
    await_open(&page, 1)
}

fn plain(context: &Context) -> Result<()> {
    let httpd = context.start(&location(""))?;
    let page = context.open_on(&httpd, "status")?;
    page.run(
        "window.echo = await open('/echo'); await exchange(echo, 'a')",
        &json!([]),
    )?;
    // With that of the page.
    await_open(&page, 2)?;
    let plain = context.open_without_scripts(&httpd, "status")?;
    let shown = plain.see(
        "return [
            document.getElementById('state').dataset.state,
            document.querySelectorAll('polyline').length,
            document.querySelector('#sums [data-figure=open]').dataset.value,
            [...document.querySelectorAll('#locations th')]
                .some((cell) => cell.textContent === '/echo'),
        ]",
    )?;
    ensure!(shown == json!(["still", 0, "2", true]), "{shown}");
    let complaints = plain.complaints()?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

fn looks(context: &Context) -> Result<()> {
    let httpd = context.start(&location(""))?;
    let page = context.open_on(&httpd, "status")?;
    page.run(
        "window.echo = await open('/echo'); await exchange(echo, 'a')",
        &json!([]),
    )?;
    await_open(&page, 2)?;
    page.until(
        "document.querySelector('[data-figure=open] polyline').getAttribute('points')
            .split(' ').length >= 3",
        &json!([]),
    )?;
    let ground = |size, scheme: &str, name: &str| -> Result<Value> {
        page.look(size, scheme)?;
        page.screenshot(&context.screenshots().join(format!("status{name}.png")))?;
        let wide = "return [document.documentElement.scrollWidth <= innerWidth,
            getComputedStyle(document.body).backgroundColor]";
        let shown = page.run(wide, &json!([]))?;
        ensure!(
            shown[0] == true,
            "{scheme} {size:?}: the page is wider than the window"
        );
        Ok(shown[1].clone())
    };
    let light = ground((1280, 900), "light", "")?;
    let dark = ground((1280, 900), "dark", "-dark")?;
    let phone = ground((390, 844), "light", "-phone")?;
    ensure!(light == phone && light != dark, "{light} {dark} {phone}");
    Ok(())
}
