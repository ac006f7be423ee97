//! What is special about NATS with JetStream.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::broker::Kind;
use xtask::link::Link;

use super::{broker, host, listener, publish, quiet_speaker, settle};
use crate::status::pages::LOCATION;
use crate::support::{Context, PATIENCE, cases, wait_until};
use crate::topics::figures::await_part;
use crate::topics::{ask, open};

cases! {
    "hosts (NATS): what is sent again is stored once, also if the server has forgotten it" => again,
    "hosts (NATS): a message that the server would not take is refused" => too_long,
    "hosts (NATS): the stream keeps as many messages as the directive says now" => keep,
}

/// A request to the server, and the first line of its answer.
fn request(port: u16, subject: &str, payload: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = payload.len();
    write!(
        stream,
        "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\n\
         PUB {subject} answer {length}\r\n{payload}\r\n"
    )?;
    let mut lines = BufReader::new(stream).lines();
    let mut lines = lines.by_ref().skip_while(|line| {
        line.as_ref()
            .is_ok_and(|line| !line.starts_with("MSG answer"))
    });
    lines.next().context("no answer")??;
    Ok(lines.next().context("no answer")??)
}

fn again(context: &Context) -> Result<()> {
    const WINDOW: Duration = Duration::from_millis(200);
    let Some(broker) = broker(Kind::Nats, &[])? else {
        return Ok(());
    };
    let stream = format!(
        r#"{{"name":"websocket-topics","subjects":["websocket-topics.message.*"],
            "retention":"limits","storage":"file","num_replicas":1,"discard":"old",
            "duplicate_window":{}}}"#,
        WINDOW.as_nanos()
    )
    .replace('\n', " ");
    let answer = request(
        broker.port(),
        "$JS.API.STREAM.CREATE.websocket-topics",
        &stream,
    )?;
    ensure!(answer.contains("\"created\""), "{answer}");
    let link = Link::to(broker.port())?;
    let one = host(context, &broker.address(), "LogLevel info")?;
    let two = host(
        context,
        &broker.kind().address(link.port()),
        &format!("{LOCATION}LogLevel info"),
    )?;
    let mut listener = listener(&one, "sub room")?;
    settle(&[&one])?;
    let mut speaker = quiet_speaker(&two)?;
    publish(&mut speaker, "room", "before")?;
    listener.expect_text("before")?;
    // The broker's answer comes back after the message has come to the other host.
    await_part(&two, "broker", |broker| broker["waiting_messages"] == 0)?;
    link.silence();
    publish(&mut speaker, "room", "1")?;
    listener.expect_text("1")?;
    two.wait_for_log("cannot be reached, publishing is refused", PATIENCE)?;
    link.cut();
    link.heal();
    wait_until("publishing works again", || {
        Ok(ask(&mut speaker, "pub room 2")? == "-")
    })?;
    listener.expect_text("2")
}

fn too_long(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("nats.conf");
    fs::write(&config, "max_payload: 4096")?;
    let config = config.display().to_string();
    let Some(broker) = broker(Kind::Nats, &["--config", &config])? else {
        return Ok(());
    };
    let httpd = host(context, &broker.address(), "LogLevel info")?;
    let mut client = listener(&httpd, "sub room")?;
    settle(&[&httpd])?;
    let mut speaker = open(&httpd)?;
    publish(&mut speaker, "room", "before")?;
    client.expect_text("before")?;
    let answer = ask(&mut speaker, "large room 4000")?;
    ensure!(answer.contains("longer than"), "{answer}");
    ensure!(ask(&mut speaker, "large room 3000")? == "-");
    ensure!(client.next_text()?.len() == 3000);
    Ok(())
}

fn keep(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::Nats, &[])? else {
        return Ok(());
    };
    for keep in [1000, 200] {
        let address = format!("{} keep:{keep}", broker.address());
        let httpd = host(context, &address, "LogLevel info")?;
        let _client = listener(&httpd, "sub room")?;
        settle(&[&httpd])?;
        let info = request(broker.port(), "$JS.API.STREAM.INFO.websocket-topics", "")?;
        ensure!(info.contains(&format!("\"max_msgs\":{keep},")), "{info}");
    }
    Ok(())
}
