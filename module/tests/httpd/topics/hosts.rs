//! Topics between hosts, with each kind of broker.

pub(crate) mod changed;
pub(crate) mod cuts;
pub(crate) mod live;
pub(crate) mod nats;
pub(crate) mod nkeys;
pub(crate) mod presence;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::broker::{Broker, Kind};
use xtask::httpd::Httpd;

use super::{ask, open, open_elsewhere, root};
use crate::support::{Client, Context, PATIENCE, wait_until};

/// Runs the same cases with each kind of broker that keeps messages.
macro_rules! broker_cases {
    ($($rule:literal => $run:path),* $(,)?) => {
        pub(crate) const CASES: &[crate::support::Case] = &[
            $(crate::support::Case {
                name: concat!("hosts: ", $rule),
                run: |context| $run(context, xtask::broker::Kind::Redis),
            }),*,
            $(crate::support::Case {
                name: concat!("hosts (NATS): ", $rule),
                run: |context| $run(context, xtask::broker::Kind::Nats),
            }),*
        ];
    };
}
use broker_cases;

broker_cases! {
    "subscribers on all hosts get each message once and in the same order" => order,
    "a client goes on at another host from the last position it has seen" => resume,
    "a host that starts later has the histories, and sends nobody what is old" => late,
    "what a host publishes as soon as it serves comes to its own subscribers" => early,
    "when the process that imports is killed another goes on, without loss" => killed,
    "a broker with TLS and a password, which no log shows" => guarded,
    "WebSocketTopicHistory Latest gives a new host's subscribers the latest" => latest,
}

/// A broker, or `None` if its program is not installed.
pub(crate) fn broker(kind: Kind, options: &[&str]) -> Result<Option<Broker>> {
    let broker = Broker::start(kind, options)?;
    if broker.is_none() {
        let program = kind.program();
        ensure!(env::var_os("CI").is_none(), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    Ok(broker)
}

/// Starts an httpd that has this address as broker.
pub(crate) fn host(context: &Context, address: &str, config: &str) -> Result<Httpd> {
    let config = format!("WebSocketTopicBroker {address}\n{config}");
    root(context, &config)?.start()
}

/// Publishes. The broker gives the position.
pub(crate) fn publish(speaker: &mut Client, topic: &str, text: &str) -> Result<()> {
    super::expect(speaker, &format!("pub {topic} {text}"), "-")
}

/// A client that has subscribed.
pub(crate) fn listener(httpd: &Httpd, command: &str) -> Result<Client> {
    let mut client = open(httpd)?;
    ask(&mut client, command)?;
    Ok(client)
}

/// The position of the message in an envelope.
pub(crate) fn position(envelope: &str) -> Result<String> {
    let (_, rest) = envelope.split_once(r#""position":""#).context("none")?;
    let (position, _) = rest.split_once('"').context("none")?;
    Ok(position.into())
}

/// Waits until an importing process reads what is published at once.
pub(crate) fn settle(hosts: &[&Httpd]) -> Result<()> {
    for httpd in hosts {
        httpd.wait_for_log("gets its messages for this host", PATIENCE)?;
    }
    Ok(())
}

/// A client in a process that does not import: this process sends nothing to the broker but what
/// clients publish.
pub(crate) fn quiet_speaker(httpd: &Httpd) -> Result<Client> {
    let mut first = listener(httpd, "sub elsewhere")?;
    let line = httpd.wait_for_log("gets its messages for this host", PATIENCE)?;
    let importer = ask(&mut first, "pid")?;
    ensure!(is_of_process(&line, &importer), "{line}");
    open_elsewhere(httpd, &importer)
}

/// Whether a line of the error log is of this process. Not every httpd writes the thread behind it
/// if the MPM has one thread for each process.
pub(crate) fn is_of_process(line: &str, pid: &str) -> bool {
    [":", "]"]
        .iter()
        .any(|end| line.contains(&format!("[pid {pid}{end}")))
}

fn order(context: &Context, kind: Kind) -> Result<()> {
    const EACH: usize = 30;
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let hosts = [(), (), ()].map(|()| host(context, &broker.address(), "LogLevel info"));
    let hosts = hosts.into_iter().collect::<Result<Vec<_>>>()?;
    let mut listeners = Vec::new();
    for httpd in &hosts {
        for client in super::crowd(httpd, 3, "sub room")? {
            listeners.push(client);
        }
    }
    settle(&hosts.iter().collect::<Vec<_>>())?;
    let mut speakers = hosts.iter().map(open).collect::<Result<Vec<_>>>()?;
    for number in 0..EACH {
        for (from, speaker) in speakers.iter_mut().enumerate() {
            speaker.text(format!("say room {from} {number}"))?;
        }
    }
    let count = EACH * speakers.len();
    let mut heard = Vec::new();
    for client in &mut listeners {
        let texts = (0..count).map(|_| client.next_text());
        heard.push(texts.collect::<Result<Vec<_>>>()?);
    }
    for other in &heard[1..] {
        ensure!(*other == heard[0], "two clients heard different things");
    }
    for from in 0..speakers.len() {
        let from = format!("{from} ");
        let own = heard[0].iter().filter(|text| text.starts_with(&from));
        let expected = (0..EACH).map(|number| format!("{from}{number}"));
        ensure!(own.cloned().eq(expected), "of {from}: {:?}", heard[0]);
    }
    for client in &mut listeners {
        super::expect(client, "sub room", "none -")?;
    }
    Ok(())
}

fn resume(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let config = "WebSocketTopicHistory a 10\nLogLevel info";
    let one = host(context, &broker.address(), config)?;
    let two = host(context, &broker.address(), config)?;
    let mut listeners = [listener(&one, "envelope a")?, listener(&two, "envelope a")?];
    settle(&[&one, &two])?;
    let mut speakers = [open(&one)?, open(&two)?];
    let mut positions = Vec::new();
    for number in 0..6 {
        publish(&mut speakers[number % 2], "a", &number.to_string())?;
        let [first, second] = &mut listeners;
        let (first, second) = (first.next_text()?, second.next_text()?);
        ensure!(first == second, "{first} and {second}");
        positions.push(position(&first)?);
    }
    for httpd in [&one, &two] {
        let mut client = open(httpd)?;
        client.text(format!("since a {}", positions[2]))?;
        for text in ["3", "4", "5"] {
            client.expect_text(text)?;
        }
        client.expect_text(format!("= complete 3 {}", positions[5]))?;
        publish(&mut speakers[0], "a", "new")?;
        client.expect_text("new")?;
        publish(&mut speakers[1], "a", "newer")?;
        client.expect_text("newer")?;
        for listener in &mut listeners {
            let new = position(&listener.next_text()?)?;
            let newer = position(&listener.next_text()?)?;
            positions[5] = newer;
            ensure!(new != positions[5]);
        }
        // The next host has these, too.
        speakers[0].text("history a")?;
        let kept = speakers[0].next_text()?;
        ensure!(kept.ends_with("new newer"), "{kept}");
        positions[2] = positions[4].clone();
        // Other processes tell of their subscribers once a second.
        wait_until("subscribers are counted", || {
            Ok(ask(&mut open(httpd)?, "count a")? != "0")
        })?;
        if std::ptr::eq(httpd, &raw const one) {
            let mut client = open(&two)?;
            client.text(format!("since a {}", positions[2]))?;
            for text in ["5", "new", "newer"] {
                client.expect_text(text)?;
            }
            client.expect_text(format!("= complete 3 {}", positions[5]))?;
            return Ok(());
        }
    }
    Ok(())
}

fn late(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let config = "WebSocketTopicHistory a 10\nLogLevel info";
    let one = host(context, &broker.address(), config)?;
    let mut listener = listener(&one, "envelope a")?;
    let mut speaker = open(&one)?;
    let mut positions = Vec::new();
    for text in ["1", "2", "3"] {
        publish(&mut speaker, "a", text)?;
        publish(&mut speaker, "b", "old")?;
        positions.push(position(&listener.next_text()?)?);
    }
    let two = host(context, &broker.address(), config)?;
    let mut plain = open(&two)?;
    for topic in ["a", "b"] {
        ask(&mut plain, &format!("sub {topic}"))?;
    }
    settle(&[&two])?;
    let mut client = open(&two)?;
    client.text(format!("since a {}", positions[0]))?;
    for text in ["2", "3"] {
        client.expect_text(text)?;
    }
    client.expect_text(format!("= complete 2 {}", positions[2]))?;
    publish(&mut speaker, "b", "new")?;
    publish(&mut speaker, "a", "4")?;
    client.expect_text("4")?;
    plain.expect_text("new")?;
    plain.expect_text("4")
}

fn early(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    for number in 0..4 {
        let httpd = host(context, &broker.address(), "")?;
        let mut listener = listener(&httpd, "sub a")?;
        // Another process may have to reach the broker first.
        publish(&mut open(&httpd)?, "a", &number.to_string())?;
        listener.expect_text(number.to_string())?;
    }
    Ok(())
}

fn latest(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let config = "WebSocketTopicHistory price/* Latest\nLogLevel info";
    let one = host(context, &broker.address(), config)?;
    let mut speaker = open(&one)?;
    let mut listener = listener(&one, "sub price/a")?;
    for text in ["1", "2"] {
        publish(&mut speaker, "price/a", text)?;
        listener.expect_text(text)?;
    }
    let two = host(context, &broker.address(), config)?;
    // It may come before this host knows of any message.
    let mut early = open(&two)?;
    early.text("sub price/a")?;
    loop {
        if early.next_text()? == "2" {
            break;
        }
    }
    settle(&[&two])?;
    let mut client = open(&two)?;
    client.text("sub price/a")?;
    client.expect_text("2")
}

fn killed(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let one = host(context, &broker.address(), "LogLevel info")?;
    let two = host(context, &broker.address(), "LogLevel info")?;
    let mut first = open(&one)?;
    ask(&mut first, "sub room")?;
    let line = one.wait_for_log("gets its messages for this host", PATIENCE)?;
    let importer = ask(&mut first, "pid")?;
    ensure!(is_of_process(&line, &importer), "{line}");
    let mut other = open_elsewhere(&one, &importer)?;
    ask(&mut other, "sub room")?;
    let mut speaker = open(&two)?;
    for number in 0..50 {
        publish(&mut speaker, "room", &number.to_string())?;
        if number == 20 {
            let pid = Pid::from_raw(importer.parse()?).context("a process")?;
            kill_process(pid, Signal::KILL)?;
        }
    }
    for number in 0..50 {
        other.expect_text(number.to_string())?;
    }
    // Others, too, in whatever process they are.
    let mut late = listener(&one, "sub room")?;
    publish(&mut speaker, "room", "end")?;
    late.expect_text("end")?;
    other.expect_text("end")
}

fn guarded(context: &Context, kind: Kind) -> Result<()> {
    const SECRET: &str = "s3cr3t-of-the-broker";
    // The first only lends its certificate.
    let certified = root(context, "")?
        .tls_port(xtask::port::free_port()?)
        .start()?;
    let certificate = certified.root().certificate().display().to_string();
    let key = certified.root().certificate_key().display().to_string();
    let folder = tempfile::tempdir()?;
    let options = guard(kind, folder.path(), [&certificate, &key], SECRET)?;
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let Some(broker) = broker(kind, &options)? else {
        return Ok(());
    };
    let credentials = |name: &str, text: String| -> Result<String> {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    };
    let start = |credentials: &str| {
        let port = broker.port();
        let scheme = if kind == Kind::Redis { "rediss" } else { "tls" };
        let address = format!("{scheme}://localhost:{port} ca:{certificate} file:{credentials}");
        host(context, &address, "LogLevel debug")
    };
    let right = credentials("right", format!("httpd:{SECRET}\n"))?;
    let hosts = [start(&right)?, start(&right)?];
    let mut listener = listener(&hosts[1], "sub a")?;
    settle(&[&hosts[1]])?;
    publish(&mut open(&hosts[0])?, "a", "hello")?;
    listener.expect_text("hello")?;
    let stranger = start(&credentials("wrong", format!("httpd:not-{SECRET}"))?)?;
    let mut client = open(&stranger)?;
    wait_until("nobody can publish", || {
        Ok(ask(&mut client, "pub a x")?.contains("error log says why"))
    })?;
    stranger.wait_for_log(
        "cannot be reached, publishing is refused meanwhile",
        PATIENCE,
    )?;
    for httpd in hosts.iter().chain([&stranger]) {
        let log = httpd.error_log()?;
        ensure!(!log.contains(SECRET), "{log}");
    }
    Ok(())
}

/// The options of a broker with TLS and a user, who may do no more than topics need.
fn guard(
    kind: Kind,
    folder: &Path,
    [certificate, key]: [&str; 2],
    secret: &str,
) -> Result<Vec<String>> {
    let user = format!(">{secret}");
    let options = match kind {
        Kind::Redis => vec![
            "--tls-port",
            "{port}",
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            certificate,
            "--tls-auth-clients",
            "no",
            "--user",
            "default",
            "off",
            "--user",
            "httpd",
            "on",
            &user,
            "~{websocket-topics}:*",
            "+@read",
            "+@write",
            "+@scripting",
            "+@connection",
        ],
        Kind::Nats | Kind::LiveNats => {
            let config = folder.join("nats.conf");
            let text = format!(
                r#"tls {{ cert_file: "{certificate}", key_file: "{key}" }}
                authorization {{ users: [ {{
                    user: httpd, password: "{secret}", permissions: {{
                        publish: ["websocket-topics.>", "$JS.API.>"]
                        subscribe: "websocket-topics.>"
                    }}
                }} ] }}"#
            );
            fs::write(&config, text)?;
            return Ok(vec!["--config".into(), config.display().to_string()]);
        }
    };
    Ok(options.into_iter().map(String::from).collect())
}
