//! The chat page, in two browsers.

use anyhow::Result;
use serde_json::json;

use crate::support::page::{Entry, Page};
use crate::support::{Context, cases};

cases! {
    "members get each other's messages and changes" => two,
}

/// Waits for an info entry of the log that ends with `end`. Members of earlier cases may have left
/// entries before it.
fn await_info(page: &Page, end: &str) -> Result<()> {
    page.until(
        "[...element('chat-log').children].some((entry) => \
         entry.dataset.kind === 'info' && entry.textContent.endsWith(args[0]))",
        &json!([end]),
    )
}

fn say(page: &Page, text: &str) -> Result<()> {
    page.fill("chat-input", text)?;
    page.click("chat-send")
}

fn rename(page: &Page, name: &str) -> Result<()> {
    page.fill("chat-name", name)?;
    page.click("chat-rename")
}

fn two(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let anna = context.open_on(&httpd, "chat.html")?;
    await_info(&anna, "guest-1 has come in")?;
    rename(&anna, "Anna")?;
    await_info(&anna, "guest-1 is now Anna")?;
    say(&anna, "Is anybody here?")?;
    anna.await_entry("chat", Entry("said", "text", "Anna: Is anybody here?"))?;

    let bob = context.open_on(&httpd, "chat.html")?;
    // A newcomer gets the last messages.
    bob.await_entry("chat", Entry("said", "text", "Anna: Is anybody here?"))?;
    await_info(&anna, "guest-2 has come in")?;
    rename(&bob, "Bob")?;
    await_info(&anna, "guest-2 is now Bob")?;
    say(&bob, "I am, <b>Bob</b>.")?;
    for page in [&anna, &bob] {
        page.await_entry("chat", Entry("said", "text", "Bob: I am, <b>Bob</b>."))?;
    }
    say(&anna, "H\u{e9}llo \u{4e16}\u{754c}")?;
    bob.await_entry(
        "chat",
        Entry("said", "text", "Anna: H\u{e9}llo \u{4e16}\u{754c}"),
    )?;

    // The browser keeps a page in its cache when the user leaves it, but must close its connection.
    bob.goto(&context.origin(&httpd))?;
    await_info(&anna, "Bob has left")
}
