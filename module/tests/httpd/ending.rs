//! What plugins are told of the end of a connection.

use std::io::{Read, Write};

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use crate::crowd::let_go;
use crate::rust::location;
use crate::support::frame::{Opcode, masked};
use crate::support::journal::Journal;
use crate::support::{Client, Context, Driver, Handshake, PATIENCE, cases};

cases! {
    "a C plugin is told who closed, with which code and reason, and whether that was clean" => c,
    "a Rust plugin is told why a connection ended" => rust,
    "a Rust plugin is told why a detached connection ended" => detached,
    "a plugin is told that its process is replaced" => replaced,
    "a plugin can ask how many bytes wait for a client" => buffered,
}

const BY_CLIENT: u8 = 0;
const BY_PLUGIN: u8 = 1;
const BY_ERROR: u8 = 2;
const BY_NOBODY: u8 = 7;

fn start(context: &Context) -> Result<Httpd> {
    let root = context.root()?.tls_port(xtask::port::free_port()?);
    root.config(context.plugins().locations()).start()
}

/// What the plugin has written to its journal: who closed, code, clean, and the reason's length.
fn told(journal: &Journal) -> Result<[String; 4]> {
    journal.wait_for("told")?;
    ensure!(journal.wait_for("small ")? == "0");
    Ok([
        journal.wait_for("by ")?,
        journal.wait_for("code ")?,
        journal.wait_for("clean ")?,
        journal.wait_for("reason ")?,
    ])
}

fn c(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    each_end(context, |handshake| {
        Client::open(httpd.address(), handshake)
    })?;
    each_end(context, |handshake| Client::open_tls(&httpd, handshake))
}

fn each_end<S: Read + Write>(
    context: &Context,
    open: impl Fn(&Handshake) -> Result<Client<S>>,
) -> Result<()> {
    type End<S> = fn(Client<S>) -> Result<()>;
    let ends: [(End<S>, [u16; 4]); 6] = [
        (
            |mut client| {
                client.send(masked(Opcode::CLOSE, b"\x0f\xa0so long"))?;
                client.expect_close(4000)
            },
            [BY_CLIENT.into(), 4000, 1, 7],
        ),
        (
            |mut client| {
                client.send(masked(Opcode::CLOSE, ""))?;
                client.frame().map(drop)
            },
            [BY_CLIENT.into(), 1005, 1, 0],
        ),
        (
            |mut client| {
                client.text("close")?;
                client.frame()?;
                client.send(masked(Opcode::CLOSE, ""))
            },
            [BY_PLUGIN.into(), 1005, 1, 0],
        ),
        (
            |mut client| {
                client.text("close")?;
                client.frame().map(drop)
            },
            [BY_PLUGIN.into(), 1005, 0, 0],
        ),
        (
            |mut client| {
                client.send([0xff, 0x80, 0, 0, 0, 0])?;
                client.expect_close(1002)
            },
            [BY_ERROR.into(), 1002, 0, 0],
        ),
        (|_| Ok(()), [BY_NOBODY.into(), 1006, 0, 0]),
    ];
    for (end, expected) in ends {
        let journal = Journal::new(context)?;
        end(open(&journal.handshake("/ending"))?)?;
        let told = told(&journal)?;
        let expected = expected.map(|number| number.to_string());
        ensure!(told == expected, "{told:?}, not {expected:?}");
    }
    Ok(())
}

fn rust(context: &Context) -> Result<()> {
    check_rust(context, "")
}

fn detached(context: &Context) -> Result<()> {
    check_rust(context, "WebSocketDetach On\n")
}

fn check_rust(context: &Context, config: &str) -> Result<()> {
    let location = location(context, "/hermit", "hermit", config);
    let httpd = context.root()?.config(location).start()?;
    let open = || Client::open(httpd.address(), &Handshake::to("/hermit"));
    let mut client = open()?;
    client.send(masked(Opcode::CLOSE, b"\x0f\xa0so long"))?;
    client.expect_close(4000)?;
    httpd.wait_for_log(
        "[Hermit] gone: closed by the client with code 4000 and reason \"so long\", clean",
        PATIENCE,
    )?;
    let mut client = open()?;
    client.text("close 4001")?;
    client.frame()?;
    drop(client);
    httpd.wait_for_log(
        "[Hermit] gone: closed by the plugin with code 4001 and reason \"as told\", not clean",
        PATIENCE,
    )?;
    drop(open()?);
    httpd.wait_for_log("[Hermit] gone: lost with code 1006, not clean", PATIENCE)?;
    Ok(())
}

fn replaced(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        // A hard restart ends its children at once.
        return Ok(());
    }
    let location = location(context, "/hermit", "hermit", "");
    let httpd = context.root()?.config(location).start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/hermit"))?;
    client.echo("before")?;
    if context.driver == Driver::Event {
        let_go(&httpd)?;
    }
    httpd.restart()?;
    client.expect_close(1012)?;
    httpd.wait_for_log(
        "[Hermit] gone: closed by the server (drain) with code 1012",
        PATIENCE,
    )?;
    Ok(())
}

fn buffered(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let journal = Journal::new(context)?;
    let mut client = Client::open(httpd.address(), &journal.handshake("/ending"))?;
    client.text("fill")?;
    let buffered: usize = journal.wait_for("buffered ")?.parse()?;
    // The queue is full at 16 MiB, and takes whole messages.
    ensure!((16 << 20..18 << 20).contains(&buffered), "{buffered}");
    ensure!(journal.wait_for("early ")? == "0");
    Ok(())
}
