//! Plugins that may refuse a client: by its subprotocols and by its cookies.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::page::{Page, text};
use crate::support::{Context, cases};

cases! {
    "the plugin chooses the subprotocol among those offered" => chosen,
    "a client without a supported subprotocol is refused" => unknown_subprotocol,
    "a client with the right cookie is accepted" => cookie,
    "a client with a wrong cookie or none is refused" => wrong_cookie,
}

fn chosen(context: &Context) -> Result<()> {
    let page = context.open("subprotocol.html")?;
    for (offer, chosen, answer) in [
        ("upper.example", "upper.example", "HELLO, HTTPD!"),
        (
            "upper.example reverse.example",
            "reverse.example",
            "!dptth ,olleH",
        ),
    ] {
        page.select("subprotocol-offer", offer)?;
        page.click("subprotocol-connect")?;
        page.await_state("subprotocol", "open")?;
        page.await_text("subprotocol-chosen", chosen)?;
        page.click("subprotocol-send")?;
        page.await_entry("subprotocol", text("received", answer))?;
        page.click("subprotocol-connect")?; // its label is now Disconnect
        page.await_state("subprotocol", "closed")?;
    }
    // Without an offer there is nothing to negotiate, and most plugins do not need a subprotocol.
    page.expect(
        "return (await open('/echo')).protocol",
        &json!([]),
        &json!(""),
    )
}

fn unknown_subprotocol(context: &Context) -> Result<()> {
    let page = context.open("subprotocol.html")?;
    page.select("subprotocol-offer", "other.example")?;
    page.click("subprotocol-connect")?;
    page.await_entry(
        "subprotocol",
        text("info", "could not connect; httpd's error log may say why"),
    )?;
    page.await_state("subprotocol", "closed")?;
    // The browser itself fails the connection if the server chooses none of the offered
    // subprotocols.
    is_refused(&page, "/echo", &["other.example"])
}

fn is_refused(page: &Page, path: &str, offer: &[&str]) -> Result<()> {
    let end = page.run(
        "const socket = new WebSocket(endpoint(args[0]), args[1]);
        return Promise.race([closed(socket), next(socket, 'open').then(() => 'open')])",
        &json!([path, offer]),
    )?;
    ensure!(
        end["code"] == 1006 && end["wasClean"] == false,
        "{path}: {end}"
    );
    Ok(())
}

fn cookie(context: &Context) -> Result<()> {
    let page = context.open("auth.html")?;
    page.click("auth-connect")?;
    page.await_state("auth", "open")?;
    page.click("auth-send")?;
    page.await_entry("auth", text("sent", "Who am I?"))?;
    page.await_entry("auth", text("received", "hello holder of the cookie"))
}

fn wrong_cookie(context: &Context) -> Result<()> {
    let page = context.open("auth.html")?;
    is_refused(&page, "/auth", &[])?;
    page.fill("auth-secret", "guess")?;
    page.click("auth-connect")?;
    page.await_entry(
        "auth",
        text("info", "could not connect; httpd's error log may say why"),
    )?;
    page.await_state("auth", "closed")?;
    page.fill("auth-secret", "demo")?;
    page.click("auth-connect")?;
    page.await_state("auth", "open")
}
