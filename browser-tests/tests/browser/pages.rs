//! Tests of every page.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::page::{Page, text};
use crate::support::{Context, cases};

cases! {
    "every page loads completely, connects, and logs no errors" => whole,
    "screenshots are taken of every page in light and dark, and at phone size" => pictures,
}

/// The parts of a page that connect when it loads.
fn live_parts(page: &str) -> &'static [&'static str] {
    match page {
        "index" => &["echo", "increment"],
        "echo" => &["echo"],
        "dumb-increment" => &["increment"],
        "chat" => &["chat"],
        "counter" => &["counter"],
        "ticker" => &["ticker"],
        "topics" => &["topics"],
        _ => &[],
    }
}

fn whole(context: &Context) -> Result<()> {
    let page = context.open("index.html")?;
    for name in context.pages()? {
        page.goto(&format!(
            "{}/{name}.html",
            context.origin(&*context.httpd()?)
        ))?;
        for part in live_parts(&name) {
            page.await_state(part, "open")?;
        }
        let current = "const marked = document.querySelector('nav [aria-current=page]');
            return marked.href === location.href || location.pathname === '/index.html'";
        page.expect(current, &json!([]), &json!(true))?;
        let complaints = page.complaints()?;
        ensure!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
    Ok(())
}

fn pictures(context: &Context) -> Result<()> {
    for name in context.pages()? {
        let page = context.open(&format!("{name}.html"))?;
        bring_to_life(&page, &name)?;
        for (look, size, scheme) in [
            ("", (1280, 900), "light"),
            ("-dark", (1280, 900), "dark"),
            ("-phone", (390, 844), "light"),
        ] {
            page.look(size, scheme)?;
            page.screenshot(&context.screenshots().join(format!("{name}{look}.png")))?;
        }
    }
    Ok(())
}

/// Makes a page show some content.
fn bring_to_life(page: &Page, name: &str) -> Result<()> {
    match name {
        "index" | "echo" => {
            page.await_state("echo", "open")?;
            page.click("echo-send")?;
            page.await_entry("echo", text("received", "Hello, httpd!"))
        }
        "plugin" => {
            page.fill("plugin-path", "/echo")?;
            page.click("plugin-connect")?;
            page.await_state("plugin", "open")?;
            page.click("plugin-send")?;
            page.await_entry("plugin", text("received", "hello"))
        }
        "subprotocol" | "auth" => {
            page.click(&format!("{name}-connect"))?;
            page.await_state(name, "open")?;
            page.click(&format!("{name}-send"))?;
            page.until(
                "element(args).querySelector('[data-kind=received]')",
                &json!(format!("{name}-log")),
            )
        }
        "chat" => {
            page.await_state("chat", "open")?;
            page.fill("chat-input", "Is anybody here?")?;
            page.click("chat-send")?;
            page.until(
                "element('chat-log').querySelector('[data-kind=said]')",
                &json!([]),
            )
        }
        "counter" => {
            page.await_state("counter", "open")?;
            page.click("counter-click")?;
            page.until("element('counter-players').textContent !== '–'", &json!([]))
        }
        "topics" => {
            page.click("topics-publish")?;
            page.await_entry("topics", text("received", "demo/news: Hello, everybody!"))
        }
        "ticker" => page.until("element('ticker-interval').textContent !== '–'", &json!([])),
        _ => page.until(
            "Number(element('increment-value').textContent) > 5",
            &json!([]),
        ),
    }
}
