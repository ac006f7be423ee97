//! The page of mod_status.

pub(crate) mod dashboard;
pub(crate) mod pages;
pub(crate) mod plugin_metrics;

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::httpd::Httpd;

use crate::support::{Client, Context, Driver, Handshake, PATIENCE, cases, wait_until};

cases! {
    "the server status counts open and accepted WebSockets" => counts,
    "the server status counts messages, bytes and refusals" => traffic,
    "the server status shows which process has WebSockets" => page,
    "the server status counts detached WebSockets separately" => detached,
    "after a graceful restart the server status still counts all WebSockets" => graceful,
    "after a hard restart the server status counts only the accepted WebSockets" => restart,
    "the server status does not count the WebSockets of a killed process" => killed,
}

/// The values of the lines for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) event_driven: u64,
    pub(crate) detached: u64,
    pub(crate) with_thread: u64,
    pub(crate) accepted: u64,
}

impl Counters {
    /// The expected values with this many open connections, depending on the MPM and driver of
    /// `context`.
    pub(crate) fn new(context: &Context, open: u64, accepted: u64) -> Self {
        let counters = Self {
            accepted,
            ..Self::default()
        };
        match context.driver {
            Driver::Event => Self {
                event_driven: open,
                ..counters
            },
            Driver::Blocking => Self {
                with_thread: open,
                ..counters
            },
        }
    }

    pub(crate) fn ask(httpd: &Httpd) -> Result<Self> {
        let answer = get(httpd, "auto")?;
        let number = |name: &str| -> Result<u64> {
            let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
            let line = lines.find(|(key, _)| *key == name);
            let (_, value) = line.with_context(|| format!("no {name} in {answer}"))?;
            Ok(value.parse()?)
        };
        Ok(Self {
            event_driven: number("WebSocketsEventDriven")?,
            detached: number("WebSocketsDetached")?,
            with_thread: number("WebSocketsWithThread")?,
            accepted: number("WebSocketsAccepted")?,
        })
    }

    /// Waits until the server reports these values.
    pub(crate) fn expect(self, httpd: &Httpd) -> Result<()> {
        let mut last = Self::default();
        let waited = wait_until("the server status is as expected", || {
            last = Self::ask(httpd)?;
            Ok(last == self)
        });
        waited.with_context(|| format!("{last:?} instead of {self:?}"))
    }
}

fn get(httpd: &Httpd, query: &str) -> Result<String> {
    let mut stream = TcpStream::connect(httpd.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /server-status?{query} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(answer)
}

fn open(httpd: &Httpd, path: &str, count: usize) -> Result<Vec<Client>> {
    let open = |_| Client::open(httpd.address(), &Handshake::to(path));
    (0..count).map(open).collect()
}

fn counts(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    ensure!(Counters::ask(&httpd)? == Counters::default());
    let mut clients = open(&httpd, "/echo", 3)?;
    // The server counts a WebSocket before the client gets the response.
    ensure!(Counters::ask(&httpd)? == Counters::new(context, 3, 3));
    let refused = Handshake::to("/echo").version(14);
    ensure!(Client::ask(httpd.address(), &refused)?.status == 400);
    clients.swap_remove(0).close()?;
    Counters::new(context, 2, 3).expect(&httpd)?;
    clients.swap_remove(0).reset()?;
    Counters::new(context, 1, 3).expect(&httpd)?;
    clients.append(&mut open(&httpd, "/echo", 1)?);
    ensure!(Counters::ask(&httpd)? == Counters::new(context, 2, 4));
    drop(clients);
    Counters::new(context, 0, 4).expect(&httpd)
}

fn traffic(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let mut client = open(&httpd, "/echo", 1)?.swap_remove(0);
    client.echo("hello")?;
    client.echo("")?;
    let refused = Handshake::to("/echo").version(14);
    ensure!(Client::ask(httpd.address(), &refused)?.status == 400);
    wait_until("the server status counts all of it", || {
        let answer = get(&httpd, "auto")?;
        let expected = [
            "WebSocketsRefused: 1",
            "WebSocketsMessagesReceived: 2",
            "WebSocketsMessagesSent: 2",
            "WebSocketsBytesReceived: 5",
            "WebSocketsBytesSent: 5",
            "WebSocketsBytesQueued: 0",
        ];
        Ok(expected
            .iter()
            .all(|line| answer.lines().any(|shown| shown == *line)))
    })?;
    let html = get(&httpd, "")?;
    let text = "Messages received: 2 (5 bytes); sent: 2 (5 bytes); queued: 0 bytes";
    ensure!(html.contains(text), "{html}");
    Ok(())
}

fn page(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let _clients = open(&httpd, "/echo", 3)?;
    let sums = match context.driver {
        Driver::Event => "Open: 3 event-driven, 0 detached, 0 with a thread",
        Driver::Blocking => "Open: 0 event-driven, 0 detached, 3 with a thread",
    };
    let html = get(&httpd, "")?;
    let (_, ours) = html
        .split_once("<h2>WebSockets</h2>")
        .context("no heading")?;
    ensure!(ours.contains(sums), "{ours}");
    let children = httpd.child_pids()?;
    let mut total = 0;
    for row in ours
        .lines()
        .filter_map(|line| line.strip_prefix("<tr><td>"))
    {
        let row = row.strip_suffix("</td></tr>").context("half a row")?;
        let cells: Vec<u32> = row
            .split("</td><td>")
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        ensure!(cells.len() == 4 && children.contains(&cells[0]), "{row}");
        total += cells[1..].iter().sum::<u32>();
    }
    ensure!(total == 3, "{ours}");
    let html = get(&httpd, "notable")?;
    let (_, ours) = html
        .split_once("<h2>WebSockets</h2>")
        .context("no heading")?;
    ensure!(ours.contains(sums) && !ours.contains("<table"), "{ours}");
    Ok(())
}

fn detached(context: &Context) -> Result<()> {
    let handler = context
        .plugins()
        .handler_with("rust/test_plugins", "hermit_init");
    let config = format!(
        "<Location /hermit>\nSetHandler websocket-handler\n{handler}\n\
         WebSocketDetach On\n</Location>\n"
    );
    let httpd = context.root()?.config(config).start()?;
    let expected = |open| match context.driver {
        Driver::Event => Counters {
            detached: open,
            accepted: 3,
            ..Counters::default()
        },
        Driver::Blocking => Counters::new(context, open, 3),
    };
    let mut clients = open(&httpd, "/hermit", 3)?;
    ensure!(Counters::ask(&httpd)? == expected(3));
    clients.swap_remove(0).close()?;
    expected(2).expect(&httpd)?;
    drop(clients);
    expected(0).expect(&httpd)
}

fn graceful(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let mut old = open(&httpd, "/echo", 2)?;
    ensure!(Counters::ask(&httpd)? == Counters::new(context, 2, 2));
    let children = httpd.child_pids()?;
    httpd.graceful()?;
    wait_until("a new child serves", || {
        Ok(httpd
            .child_pids()?
            .iter()
            .any(|pid| !children.contains(pid)))
    })?;
    for client in &mut old {
        client.echo("still here")?;
    }
    Counters::new(context, 2, 2).expect(&httpd)?;
    let new = open(&httpd, "/echo", 1)?;
    Counters::new(context, 3, 3).expect(&httpd)?;
    drop(old);
    Counters::new(context, 1, 3).expect(&httpd)?;
    drop(new);
    Counters::new(context, 0, 3).expect(&httpd)
}

fn restart(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let _clients = open(&httpd, "/echo", 2)?;
    httpd.restart()?;
    Counters::new(context, 0, 2).expect(&httpd)
}

fn killed(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let _clients = open(&httpd, "/echo", 3)?;
    ensure!(Counters::ask(&httpd)? == Counters::new(context, 3, 3));
    let children = httpd.child_pids()?;
    for pid in &children {
        let pid = Pid::from_raw(i32::try_from(*pid)?).context("no process")?;
        kill_process(pid, Signal::KILL)?;
    }
    // A process that is ending may still accept the connection for the status.
    wait_until("the processes are gone", || {
        Ok(!httpd.child_pids()?.iter().any(|pid| children.contains(pid)))
    })?;
    Counters::new(context, 0, 3).expect(&httpd)
}
