//! The end of a connection as JavaScript sees it.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::echo;
use crate::support::context::Transport;
use crate::support::page::{Page, text};
use crate::support::{Context, cases};

cases! {
    "a page closes with a code, and the server answers with the same code" => by_the_page,
    "a plugin closes with a code and a reason, or without both" => by_the_plugin,
    "data that a plugin cannot use closes with 1007 or 1003" => bad_data,
    "a message over the limit closes with 1009" => too_big,
    "a text that is not UTF-8 makes the browser fail the connection" => not_utf8,
    "a restart closes with 1012, and the page reconnects" => restart,
    "a crash of the server is 1006, and the page reconnects" => death,
    "after Disconnect the page does not reconnect" => disconnect,
}

/// Waits until the echo page shows this end of its connection.
fn await_end(page: &Page, code: &str, reason: &str, clean: &str) -> Result<()> {
    for (id, value) in [
        ("echo-last-code", code),
        ("echo-last-reason", reason),
        ("echo-last-clean", clean),
    ] {
        page.await_text(id, value)?;
    }
    Ok(())
}

/// The close event of a page after it has sent `message` to `path`.
fn end_after(page: &Page, path: &str, message: &str) -> Result<Value> {
    page.run(
        "const socket = await open(args[0]);
        const end = closed(socket);
        socket.send(args[1]);
        return end",
        &json!([path, message]),
    )
}

fn told(code: u16, reason: &str, clean: bool) -> Value {
    json!({ "code": code, "reason": reason, "wasClean": clean })
}

fn by_the_page(context: &Context) -> Result<()> {
    let page = echo::open(context)?;
    for code in ["3001", "1000", "4999"] {
        page.fill("echo-code", code)?;
        page.fill("echo-reason", "schön war’s")?;
        page.click("echo-close")?;
        page.await_state("echo", "closed")?;
        // The server answers with the code, but without the reason.
        await_end(&page, code, "none", "yes")?;
        page.click("echo-connect")?;
        page.await_state("echo", "open")?;
    }
    // The browser does not allow a page to send this code.
    page.fill("echo-code", "1001")?;
    page.click("echo-close")?;
    page.until(
        "element('echo-log').lastChild.textContent.includes('1001')",
        &json!([]),
    )?;
    page.await_state("echo", "open")
}

fn by_the_plugin(context: &Context) -> Result<()> {
    let page = echo::open(context)?;
    for (command, expected) in [
        ("close 4321 enough", told(4321, "enough", true)),
        ("close 1002 your fault", told(1002, "your fault", true)),
        ("close 1011 ", told(1011, "", true)),
        ("close", told(1005, "", true)),
        ("close-empty", told(1005, "", true)),
    ] {
        let end = end_after(&page, "/c/kitchen-sink", command)?;
        ensure!(end == expected, "{command}: {end}");
    }
    Ok(())
}

fn bad_data(context: &Context) -> Result<()> {
    let page = echo::open(context)?;
    let end = end_after(&page, "/chat", "no JSON")?;
    ensure!(end["code"] == 1007 && end["wasClean"] == true, "{end}");
    page.expect(
        "const socket = await open('/subprotocol', ['upper.example']);
        const end = closed(socket);
        socket.send(new Uint8Array(1));
        return end",
        &json!([]),
        &told(1003, "text only", true),
    )
}

fn too_big(context: &Context) -> Result<()> {
    let limit = "<Location /echo>\nWebSocketMaxMessageSize 1000\n</Location>";
    let httpd = context.start(limit)?;
    let page = context.open_on(&httpd, "echo.html")?;
    page.await_state("echo", "open")?;
    // Switch off reconnecting.
    page.click("echo-reconnect")?;
    page.fill("echo-binary-size", "1000")?;
    page.click("echo-send-binary")?;
    page.until(
        "entry('echo', 'received', 'binary', 'binary, 1000 bytes')",
        &json!([]),
    )?;
    page.fill("echo-binary-size", "1001")?;
    page.click("echo-send-binary")?;
    page.await_state("echo", "closed")?;
    page.await_text("echo-last-code", "1009")?;
    page.await_text("echo-last-clean", "yes")
}

fn not_utf8(context: &Context) -> Result<()> {
    let page = echo::open(context)?;
    let end = end_after(&page, "/c/kitchen-sink", "raw 68c3")?;
    ensure!(end == told(1006, "", false), "{end}");
    Ok(())
}

fn restart(context: &Context) -> Result<()> {
    let httpd = context.start("WebSocketDrainTime 0")?;
    let page = context.open_on(&httpd, "echo.html")?;
    page.await_state("echo", "open")?;
    if context.transport == Transport::H2 {
        // httpd closes HTTP/2 connections without a close frame at any other restart.
        httpd.graceful()?;
    } else {
        httpd.restart()?;
    }
    page.await_text("echo-last-code", "1012")?;
    page.await_text("echo-last-clean", "yes")?;
    comes_back(&page)
}

fn death(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let page = context.open_on(&httpd, "echo.html")?;
    page.await_state("echo", "open")?;
    for child in httpd.child_pids()? {
        let pid = Pid::from_raw(child.try_into()?).context("no process has the number 0")?;
        kill_process(pid, Signal::KILL)?;
    }
    await_end(&page, "1006", "none", "no")?;
    comes_back(&page)
}

fn comes_back(page: &Page) -> Result<()> {
    page.await_state("echo", "open")?;
    page.fill("echo-input", "again")?;
    page.click("echo-send")?;
    page.await_entry("echo", text("received", "again"))
}

fn disconnect(context: &Context) -> Result<()> {
    let page = echo::open(context)?;
    page.click("echo-disconnect")?;
    page.await_state("echo", "closed")?;
    await_end(&page, "1005", "none", "yes")?;
    let enabled = "return [!element('echo-connect').disabled, element('echo-send').disabled]";
    page.expect(enabled, &json!([]), &json!([true, true]))
}
