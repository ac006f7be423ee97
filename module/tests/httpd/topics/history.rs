//! Topics with a history.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use super::{ask, expect, open, root, start, text};
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "topics: a history gives a client what it has missed, then what is new" => recovery,
    "topics: a client that has missed more than the history has is told of a gap" => gap,
    "topics: Latest gives each subscriber the newest message" => latest,
    "topics: a virtual host has the histories of its server, and its own come before them" => merging,
    "topics: messages are kept for as long as WebSocketTopicHistory says" => time,
    "topics: a history survives graceful and hard restarts" => restarts,
    "topics: WebSocketTopicStore keeps histories when httpd is stopped" => store,
    "topics: httpd removes what topics have needed when it stops" => removed,
    "topics: a directory that cannot be made is told of, and httpd serves all else" => no_directory,
    "topics: a directory with other files in it is left alone" => foreign_directory,
    "topics: another WebSocketTopicMemory waits for a stop, and restarts go on" => other_memory,
    "topics: a history that is longer than the queue is a gap, not the end of the client"
        => too_long,
    "topics: nothing is missed or doubled between recovery and what is new" => seam,
}

/// The position that an answer ends with.
pub(super) fn position(answer: &str) -> Result<String> {
    let position = answer
        .rsplit(' ')
        .next()
        .filter(|it| it.contains('-') && *it != "-");
    Ok(position.with_context(|| answer.to_owned())?.into())
}

fn recovery(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicHistory a/* 10")?;
    let mut speaker = open(&httpd)?;
    let seen = ask(&mut speaker, "pub a/b 1")?;
    for text in ["2", "3"] {
        ask(&mut speaker, &format!("pub a/b {text}"))?;
    }
    let mut client = open(&httpd)?;
    client.text(format!("since a/b {seen}"))?;
    client.expect_text("2")?;
    client.expect_text("3")?;
    let answer = client.next_text()?;
    ensure!(answer.starts_with("= complete 2 "), "{answer}");
    let newest = position(&answer)?;
    ensure!(newest == seen.replace("-1", "-3"), "{newest}");
    let newer = ask(&mut speaker, "pub a/b 4")?;
    client.expect_text("4")?;
    expect(
        &mut client,
        &format!("since a/b {newer}"),
        &format!("complete 0 {newer}"),
    )?;
    expect(&mut client, "history a/b", "1 2 3 4")?;
    expect(&mut client, &format!("history a/b {newest}"), "4")?;
    // Neither has a history.
    expect(&mut client, "pub b 1", "-")?;
    expect(&mut client, "history b", "")?;
    let refused = ask(&mut client, &format!("since a/* {newest}"))?;
    ensure!(refused.contains("not the name"), "{refused}");
    Ok(())
}

fn gap(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicHistory a 3")?;
    let mut speaker = open(&httpd)?;
    let positions = (1..=5)
        .map(|number| ask(&mut speaker, &format!("pub a {number}")))
        .collect::<Result<Vec<_>>>()?;
    let newest = &positions[4];
    let mut client = open(&httpd)?;
    for missed in [&*positions[0], "0123456789abcdef-5"] {
        expect(
            &mut client,
            &format!("since a {missed}"),
            &format!("gap {newest}"),
        )?;
    }
    client.text(format!("since a {}", positions[1]))?;
    for text in ["3", "4", "5"] {
        client.expect_text(text)?;
    }
    ensure!(client.next_text()? == format!("= complete 3 {newest}"));
    ask(&mut speaker, "pub a 6")?;
    client.expect_text("6")
}

fn latest(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicHistory price/* Latest")?;
    let mut speaker = open(&httpd)?;
    for price in ["1", "2"] {
        ask(&mut speaker, &format!("pub price/a {price}"))?;
    }
    let mut client = open(&httpd)?;
    client.text("sub price/a")?;
    client.expect_text("2")?;
    let answer = client.next_text()?;
    ensure!(answer.starts_with("= complete 1 "), "{answer}");
    let nothing = ask(&mut client, "sub price/b")?;
    ensure!(nothing == "complete 0 -", "{nothing}");
    let mut enveloped = open(&httpd)?;
    enveloped.text("envelope price/a")?;
    let envelope = enveloped.next_text()?;
    let position = position(&answer)?;
    ensure!(
        envelope
            == format!(
                r#"{{"type":"message","topic":"price/a","position":"{position}","data":"2"}}"#
            ),
        "{envelope}"
    );
    Ok(())
}

fn time(context: &Context) -> Result<()> {
    let httpd = start(
        context,
        "WebSocketTopicHistory a 10 1s\nWebSocketTopicHistory ** 10",
    )?;
    let mut client = open(&httpd)?;
    ask(&mut client, "pub a 1")?;
    ask(&mut client, "pub b 1")?;
    expect(&mut client, "history a", "1")?;
    crate::support::wait_until("the message is too old", || {
        Ok(ask(&mut client, "history a")?.is_empty())
    })?;
    expect(&mut client, "history b", "1")
}

fn merging(context: &Context) -> Result<()> {
    let hosts = "<VirtualHost *>\nServerName same\n</VirtualHost>\n\
                 <VirtualHost *>\nServerName own\nWebSocketTopicHistory a 1\n\
                 WebSocketTopicHistory b 1\n</VirtualHost>";
    let httpd = start(context, &format!("WebSocketTopicHistory * 2\n{hosts}"))?;
    for (host, topic, kept) in [
        ("same", "a", "2 3"),
        ("same", "b", "2 3"),
        ("own", "a", "3"),
        ("own", "b", "3"),
        ("own", "c", "2 3"),
        ("own", "c/d", ""),
    ] {
        let handshake = Handshake::to("/herald").header("Host", host);
        let mut client = Client::open(httpd.address(), &handshake)?;
        for number in 1..=3 {
            ask(&mut client, &format!("pub {topic} {number}"))?;
        }
        let found = ask(&mut client, &format!("history {topic}"))?;
        ensure!(found == kept, "{topic} of {host}: {found}");
    }
    Ok(())
}

fn restarts(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicHistory a 10\nWebSocketDrainTime 0")?;
    let seen = ask(&mut open(&httpd)?, "pub a 1")?;
    httpd.graceful()?;
    ask(&mut open(&httpd)?, "pub a 2")?;
    httpd.restart()?;
    let mut client = open(&httpd)?;
    client.text(format!("since a {seen}"))?;
    client.expect_text("2")?;
    ask(&mut open(&httpd)?, "pub a 3").map(drop)?;
    let answer = client.next_text()?;
    ensure!(answer.starts_with("= complete 1"), "{answer}");
    client.expect_text("3")
}

fn store(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir()?;
    // The children's user has to get there.
    let path = folder.path().join("topics");
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let config = format!(
        "WebSocketTopicStore {}\nWebSocketTopicHistory a 10",
        path.display()
    );
    let httpd = start(context, &config)?;
    let seen = ask(&mut open(&httpd)?, "pub a 1")?;
    ask(&mut open(&httpd)?, "pub a 2")?;
    httpd.stop()?;
    let httpd = start(context, &config)?;
    let mut client = open(&httpd)?;
    client.text(format!("since a {seen}"))?;
    client.expect_text("2")
}

fn removed(context: &Context) -> Result<()> {
    let mut httpd = start(context, "")?;
    let runtime = httpd.root().dir().to_owned();
    ask(&mut open(&httpd)?, "pub a 1")?;
    let found = || count_directories(&runtime);
    ensure!(
        found()? == 1,
        "there is none while httpd runs: {}",
        runtime.display()
    );
    httpd.graceful()?;
    ask(&mut open(&httpd)?, "pub a 1")?;
    ensure!(found()? == 1, "a restart has removed it");
    httpd.graceful_stop()?;
    httpd.wait(crate::support::PATIENCE)?;
    ensure!(found()? == 0, "it is still there");
    Ok(())
}

/// Folders of topics anywhere below.
fn count_directories(folder: &std::path::Path) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let is_it = entry
                .file_name()
                .to_string_lossy()
                .starts_with("websocket-topics.");
            count += usize::from(is_it) + count_directories(&entry.path())?;
        }
    }
    Ok(count)
}

fn no_directory(context: &Context) -> Result<()> {
    let httpd = root(context, "WebSocketTopicStore /proc/nowhere")?
        .config(context.plugins().location("/echo", "echo", ""))
        .start()?;
    let log = httpd.error_log()?;
    ensure!(
        log.contains("topics will not work (WebSocketTopicStore /proc/nowhere)"),
        "{log}"
    );
    let answer = ask(&mut open(&httpd)?, "pub a 1")?;
    ensure!(answer.contains("error log says why"), "{answer}");
    let echo = Handshake::to("/echo");
    Client::open(httpd.address(), &echo)?.echo("hello")
}

fn foreign_directory(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("precious"), "")?;
    let path = folder.path().display();
    let httpd = start(context, &format!("WebSocketTopicStore {path}"))?;
    let log = httpd.error_log()?;
    ensure!(
        log.contains("it has other files in it, such as precious"),
        "{log}"
    );
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(folder.path())?);
    ensure!(
        owner == rustix::process::getuid().as_raw(),
        "it belongs to {owner}"
    );
    Ok(())
}

fn other_memory(context: &Context) -> Result<()> {
    let at = |size: usize| {
        format!("WebSocketTopicMemory {size}\nWebSocketTopicHistory a 10\nWebSocketDrainTime 1h")
    };
    let mut httpd = start(context, &at(4 << 20))?;
    let mut old = open(&httpd)?;
    let seen = ask(&mut old, "pub a 1")?;
    ask(&mut old, "sub b")?;
    for size in [1 << 20, 16 << 20] {
        httpd.replace_config(text(context, &at(size)))?;
        httpd.graceful()?;
        ensure!(
            httpd
                .error_log()?
                .contains("WebSocketTopicMemory takes effect when httpd is")
        );
        let mut client = open(&httpd)?;
        // More than the smaller memory takes. The old process has to keep up.
        for _ in 0..5 {
            for _ in 0..10 {
                expect(&mut client, "large c 30000", "-")?;
            }
            if context.mpm != Mpm::Prefork {
                ask(&mut client, "pub b new")?;
                old.expect_text("new")?;
            }
        }
        client.text(format!("since a {seen}"))?;
        ensure!(client.next_text()?.starts_with("= complete 0"));
        if context.mpm != Mpm::Prefork {
            ask(&mut old, "pub a-b old")?;
        }
    }
    Ok(())
}

fn too_long(context: &Context) -> Result<()> {
    let config = "WebSocketSendQueue 100000\nWebSocketTopicHistory a 100";
    let httpd = start(context, config)?;
    let mut speaker = open(&httpd)?;
    let seen = ask(&mut speaker, "pub a 1")?;
    for _ in 0..10 {
        ask(&mut speaker, "large a 20000")?;
    }
    let mut client = open(&httpd)?;
    let answer = ask(&mut client, &format!("since a {seen}"))?;
    ensure!(answer.starts_with("gap "), "{answer}");
    ask(&mut speaker, "pub a new")?;
    client.expect_text("new")
}

/// Clients subscribe again and again from where they were, in whatever process, while others
/// publish all the time.
fn seam(context: &Context) -> Result<()> {
    const COUNT: usize = 400;
    let httpd = start(context, "WebSocketTopicHistory a 1000")?;
    let seen = ask(&mut open(&httpd)?, "pub a start")?;
    let (epoch, _) = seen.split_once('-').context("a position")?;
    let mut speaker = open(&httpd)?;
    thread::scope(|scope| {
        let publish = || {
            (0..COUNT)
                .try_for_each(|number| ask(&mut speaker, &format!("pub a {number}")).map(drop))
        };
        let publishing = scope.spawn(publish);
        let clients = [(); 6].map(|()| scope.spawn(|| hear_all(&httpd, epoch, COUNT)));
        for client in clients {
            client.join().expect("no panic")?;
        }
        publishing.join().expect("no panic")
    })
}

/// Hears each number once and in order, with many connections. The first follows the first
/// position.
fn hear_all(httpd: &Httpd, epoch: &str, count: usize) -> Result<()> {
    let mut heard = 0;
    while heard < count {
        let mut client = open(httpd)?;
        client.text(format!("since a {epoch}-{}", heard + 1))?;
        // Some of what is recovered, and some of what is new.
        for _ in 0..7 {
            if heard == count {
                break;
            }
            let text = client.next_text()?;
            if text.starts_with('=') {
                ensure!(text.starts_with("= complete"), "{text}");
                continue;
            }
            ensure!(text == heard.to_string(), "{text} after {heard}");
            heard += 1;
        }
    }
    Ok(())
}
