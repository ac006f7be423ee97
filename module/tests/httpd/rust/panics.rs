//! Panics and errors in Rust plugins: each ends only its own connection, and the log says what
//! happened.

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use super::{expect_log, location, name_in_log, open};
use crate::support::frame::masked;
use crate::support::{Client, Context, Handshake, Opcode, cases, wait_until};

cases! {
    "Rust plugins: a panic or an error in on_connect refuses the client" => on_connect,
    "Rust plugins: a panic or an error in on_message closes the connection" => on_message,
    "Rust plugins: a panic in on_disconnect is logged" => on_disconnect,
    "Rust plugins: a panic in a thread of the plugin is logged" => thread,
    "Rust plugins: a panic in the destructor of the plugin is logged" => destructor,
}

/// A server, and two clients that must not notice anything: one of the same plugin and one of
/// another.
struct Scene {
    httpd: Httpd,
    bystanders: [Client; 2],
}

impl Scene {
    fn new(context: &Context, options: &str) -> Result<Self> {
        let config = location(context, "/fragile", "fragile", options)
            + &location(context, "/rust", "echo", "");
        let httpd = context.start_small(8, &config)?;
        let bystanders = [open(&httpd, "/fragile")?, open(&httpd, "/rust")?];
        Ok(Self { httpd, bystanders })
    }

    /// Checks that the clients have noticed nothing, that new clients can connect, and that httpd
    /// ends in order.
    fn finish(mut self) -> Result<()> {
        for bystander in &mut self.bystanders {
            bystander.echo("still here")?;
        }
        for target in ["/fragile", "/rust", "/echo"] {
            let mut client = open(&self.httpd, target)?;
            client.echo("hello")?;
            client.close()?;
        }
        let log = self.httpd.error_log()?;
        ensure!(!log.contains("exit signal"), "a child has died:\n{log}");
        ensure!(self.httpd.stop()?.success());
        Ok(())
    }
}

fn on_connect(context: &Context) -> Result<()> {
    let stage = Scene::new(context, "")?;
    for (query, text) in [
        ("panic", "[Fragile] on_connect panicked at "),
        ("error", "[Fragile] on_connect: no database"),
    ] {
        let mut client = Client::connect(stage.httpd.address())?;
        client.send(Handshake::to(&format!("/fragile?{query}")).to_bytes())?;
        let response = client.response()?;
        ensure!(response.status == 500, "{response:?}");
        let name = name_in_log(&client)?;
        expect_log(&stage.httpd, text, &["[websocket:error]", &name])?;
    }
    expect_log(&stage.httpd, "fragile.rs:", &[": asked to in on_connect"])?;
    stage.finish()
}

fn on_message(context: &Context) -> Result<()> {
    let stage = Scene::new(context, "")?;
    for (message, text) in [
        ("panic", "[Fragile] on_message panicked at "),
        ("error", "[Fragile] on_message: disk full"),
    ] {
        let mut client = open(&stage.httpd, "/fragile")?;
        client.text(message)?;
        // The plugin does not get this message.
        client.text("hello?")?;
        client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
        client.expect_close(1011).context(message)?;
        let name = name_in_log(&client)?;
        expect_log(&stage.httpd, text, &["[websocket:error]", &name])?;
    }
    expect_log(&stage.httpd, "fragile.rs:", &[": asked to in on_message"])?;
    stage.finish()
}

fn on_disconnect(context: &Context) -> Result<()> {
    let stage = Scene::new(context, "")?;
    for (message, text) in [
        ("panic in on_disconnect", ": asked to in on_disconnect"),
        ("panic in drop", ": asked to in drop of a connection"),
    ] {
        let mut client = open(&stage.httpd, "/fragile")?;
        client.echo(message)?;
        let name = name_in_log(&client)?;
        client.close()?;
        let others = [
            "[websocket:error]",
            &name,
            "[Fragile] on_disconnect panicked at ",
        ];
        expect_log(&stage.httpd, text, &others)?;
    }
    stage.finish()
}

fn thread(context: &Context) -> Result<()> {
    let stage = Scene::new(context, "")?;
    let mut client = open(&stage.httpd, "/fragile")?;
    client.text("panic in a thread")?;
    client.expect_text("panicked")?;
    client.echo("still here")?;
    client.close()?;
    expect_log(&stage.httpd, "asked to in a thread", &[])?;
    stage.finish()
}

fn destructor(context: &Context) -> Result<()> {
    let options = "WebSocketPluginOption panic drop";
    let httpd = context.start_small(8, &location(context, "/fragile", "fragile", options))?;
    for _ in 0..2 {
        let ask = || {
            let mut client = open(&httpd, "/fragile")?;
            client.echo("hello")?;
            client.close()
        };
        // A child that is about to end may still accept a connection.
        wait_until("a child answers", || Ok(ask().is_ok()))?;
        httpd.graceful()?;
        let others = ["[websocket:error]", ": asked to in drop of the plugin"];
        expect_log(&httpd, "[Fragile] drop panicked at ", &others)?;
    }
    ensure!(httpd.stop()?.success());
    Ok(())
}
