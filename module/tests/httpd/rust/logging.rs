//! Log lines of plugins.

use anyhow::{Context as _, Result, ensure};

use super::{ask, expect_log, location, name_in_log, open};
use crate::support::{Context, PATIENCE, cases};

cases! {
    "Rust plugins log at their level, with their name and the client" => levels,
    "Rust plugins log only the levels of LogLevel" => log_level,
    "Rust plugins log from other threads without a client" => threads,
    "Rust plugins write one line for each record" => one_line,
    "Rust plugins: all lines of a connection have the same ids" => ids,
}

const ALL: &str = "LogLevel websocket:trace8";

fn levels(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .config(location(context, "/scribe", "scribe", ALL))
        .start()?;
    let mut client = open(&httpd, "/scribe")?;
    let name = name_in_log(&client)?;
    for (level, shown) in [
        ("error", "[websocket:error]"),
        ("warn", "[websocket:warn]"),
        ("info", "[websocket:info]"),
        ("debug", "[websocket:debug]"),
        ("trace", "[websocket:trace1]"),
    ] {
        let text = format!("this is {level}");
        ask(&mut client, &format!("{level} {text}"), "logged")?;
        expect_log(&httpd, &format!("[Scribe] {text}"), &[shown, &name]).context(level)?;
    }
    client.close()
}

fn log_level(context: &Context) -> Result<()> {
    let quiet = location(context, "/quiet", "scribe", "LogLevel websocket:error");
    let config = location(context, "/scribe", "scribe", "") + &quiet;
    let httpd = context.root()?.config(config).start()?;
    for (target, highest) in [("/scribe", "info"), ("/quiet", "error")] {
        let mut client = open(&httpd, target)?;
        let levels = ["trace", "debug", "info", "warn", "error"];
        for level in levels {
            let record = format!("{level} {level} of {target}.");
            ask(&mut client, &record, "logged")?;
        }
        client.close()?;
        let log = httpd.error_log()?;
        let first = levels.iter().position(|level| *level == highest);
        for (number, level) in levels.iter().enumerate() {
            let is_logged = log.contains(&format!("[Scribe] {level} of {target}."));
            ensure!(
                is_logged == (Some(number) >= first),
                "{target}: {level}: {is_logged}"
            );
        }
    }
    Ok(())
}

fn threads(context: &Context) -> Result<()> {
    let config = location(context, "/scribe", "scribe", "");
    let httpd = context.root()?.config(config).start()?;
    let mut client = open(&httpd, "/scribe")?;
    ask(&mut client, "thread warn from afar", "logged")?;
    let line = httpd.wait_for_log("[Scribe] from afar", PATIENCE)?;
    ensure!(line.contains("[websocket:warn]"), "{line}");
    ensure!(!line.contains("127.0.0.1"), "{line}");
    client.close()
}

fn one_line(context: &Context) -> Result<()> {
    let config = location(context, "/scribe", "scribe", "");
    let httpd = context.root()?.config(config).start()?;
    let mut client = open(&httpd, "/scribe")?;
    ask(&mut client, "info %s%n\u{1b}[31m\nforged line", "logged")?;
    expect_log(&httpd, "[Scribe] %s%n", &["forged line"])?;
    client.close()
}

fn ids(context: &Context) -> Result<()> {
    let config = location(context, "/scribe", "scribe", "");
    let format = "ErrorLogFormat \"<%{c}L %L> %M\"\n";
    let httpd = context.root()?.config(config).config(format).start()?;
    let mut client = open(&httpd, "/scribe")?;
    for number in 0..3 {
        ask(&mut client, &format!("warn number {number}"), "logged")?;
    }
    client.close()?;
    httpd.wait_for_log("the WebSocket has ended", PATIENCE)?;
    let log = httpd.error_log()?;
    let of_connection =
        |line: &&str| line.contains("[Scribe] number") || line.contains("has ended");
    let lines: Vec<_> = log.lines().filter(of_connection).collect();
    ensure!(lines.len() == 4, "{log}");
    let ids = |line: &str| line.split_once('>').map(|(ids, _)| ids.to_owned());
    let first = ids(lines[0]).context("no ids")?;
    ensure!(first != "<- -", "no ids: {log}");
    ensure!(
        lines.iter().all(|line| ids(line).as_ref() == Some(&first)),
        "{lines:#?}"
    );
    Ok(())
}
