//! Log lines of plugins.

use anyhow::{Context as _, Result, ensure};

use super::{ask, expect_log, location, name_in_log, open};
use crate::support::{Context, PATIENCE, cases};

cases! {
    "Rust plugins log at their level, with their name and the client" => levels,
    "Rust plugins log only the levels of LogLevel" => log_level,
    "Rust plugins log from other threads without a client" => threads,
    "Rust plugins write one line for each record" => one_line,
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
