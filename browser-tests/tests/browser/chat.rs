//! The chat page, in two browsers.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use xtask::httpd::Httpd;

use crate::support::context::Transport;
use crate::support::page::{Entry, Page};
use crate::support::{Context, cases};

cases! {
    "members get each other's messages and changes, from all processes of httpd" => two,
    "each room has its own messages" => rooms,
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

/// Waits until the page shows the name that the server gives a guest, and returns it.
fn guest(page: &Page) -> Result<String> {
    page.until(
        "element('chat-you').textContent.startsWith('guest-')",
        &json!([]),
    )?;
    let name = page.run("return element('chat-you').textContent", &json!([]))?;
    Ok(name.as_str().context("no name")?.to_owned())
}

/// How many processes have served members.
fn processes(httpd: &Httpd) -> Result<usize> {
    let log = httpd.error_log()?;
    let lines = log.lines().filter(|line| line.contains("has come in"));
    let processes: BTreeSet<_> = lines
        .filter_map(|line| line.split_once("[pid ")?.1.split([':', ']']).next())
        .collect();
    Ok(processes.len())
}

/// A member whom another process serves than those before. A browser has one connection for all
/// streams of HTTP/2, and so one process.
fn member_elsewhere(context: &Context, httpd: &Httpd) -> Result<Page> {
    let page = context.open_on(httpd, "chat.html")?;
    for _ in 0..100 {
        guest(&page)?;
        if context.transport == Transport::H2 || processes(httpd)? > 1 {
            return Ok(page);
        }
        page.goto(&format!("{}/chat.html", context.origin(httpd)))?;
    }
    bail!("one process serves all members")
}

fn two(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let anna = context.open_on(&httpd, "chat.html")?;
    let annas_name = guest(&anna)?;
    await_info(&anna, &format!("{annas_name} has come in"))?;
    rename(&anna, "Anna")?;
    await_info(&anna, &format!("{annas_name} is now Anna"))?;
    say(&anna, "Is anybody here?")?;
    anna.await_entry("chat", Entry("said", "text", "Anna: Is anybody here?"))?;

    let bob = member_elsewhere(context, &httpd)?;
    // A newcomer gets the last messages.
    bob.await_entry("chat", Entry("said", "text", "Anna: Is anybody here?"))?;
    let bobs_name = guest(&bob)?;
    await_info(&anna, &format!("{bobs_name} has come in"))?;
    rename(&bob, "Bob")?;
    await_info(&anna, &format!("{bobs_name} is now Bob"))?;
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

fn rooms(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let lobby = context.open_on(&httpd, "chat.html")?;
    let games = context.open_on(&httpd, "chat.html#games")?;
    lobby.await_text("chat-room", "lobby")?;
    games.await_text("chat-room", "games")?;
    for (page, text) in [(&games, "Chess?"), (&lobby, "Hello")] {
        guest(page)?;
        say(page, text)?;
        page.until(
            "element('chat-log').querySelector('[data-kind=said]')",
            &json!([]),
        )?;
    }
    let said = "return element('chat-log').querySelectorAll('[data-kind=said]').length";
    for page in [&lobby, &games] {
        page.expect(said, &json!([]), &json!(1))?;
    }
    // Another room behind the # is entered at once, and shows what was said there.
    lobby.run("location.hash = 'games'", &json!([]))?;
    lobby.await_text("chat-room", "games")?;
    lobby.until(
        "element('chat-log').textContent.includes('Chess?')",
        &json!([]),
    )
}
