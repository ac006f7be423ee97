//! Restarts with TLS connections open.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, ServerRoot};

use super::TlsClient;
use crate::rust::location;
use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{
    Client, Context, Frame, Handshake, Opcode, PATIENCE, await_gone, cases, wait_until,
};

cases! {
    "TLS: a hard restart ends open connections, with 1012 if threads serve them" => hard,
    "TLS: a graceful restart under traffic keeps open connections" => graceful,
    "TLS: a renewed certificate is for new connections, and open ones stay" => renewed,
    "TLS: threads of a plugin that send while a child ends crash nothing" => storm,
}

/// The longest time that an old child may take to end, and additional time because of other tests.
const GONE_WITHIN: Duration = Duration::from_secs(5 + 2);

/// How many children of prefork there are at least.
const CROWD: usize = 8;

fn start(context: &Context) -> Result<Httpd> {
    configured(context)?.start()
}

fn configured(context: &Context) -> Result<ServerRoot> {
    // Enough from the start, because httpd starts only one more per second at first.
    let processes = match context.mpm {
        Mpm::Prefork => "StartServers 8\n",
        Mpm::Event | Mpm::Worker => "",
    };
    Ok(context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config(processes))
}

fn hard(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
        for _ in 0..50 {
            client.echo("hello")?;
        }
        clients.push(client);
    }
    httpd.restart()?;
    if context.mpm != Mpm::Prefork {
        for client in &mut clients {
            client.expect(&Frame::close(1012))?;
        }
    }
    let mut new = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    new.echo("after")?;
    new.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn renewed(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut old = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    old.echo("before")?;
    let folder = tempfile::tempdir()?;
    let expired = folder.path().join("expired.pem");
    fs::copy(httpd.root().certificate(), &expired)?;
    // Each server has a new one.
    let mut other = configured(context)?;
    other.write()?;
    fs::copy(other.certificate(), httpd.root().certificate())?;
    fs::copy(other.certificate_key(), httpd.root().certificate_key())?;
    httpd.graceful()?;
    old.echo("after")?;
    let address = httpd.tls_address().context("it serves TLS")?;
    let trusting = |certificate: &Path| {
        let mut client = Client::connect_tls_at(address, certificate)?;
        client.upgrade(&Handshake::to("/echo"))?;
        client.echo("new")?;
        client.close()
    };
    // An old child may accept another connection in its last moment.
    wait_until("new connections have the new certificate", || {
        Ok(trusting(&httpd.root().certificate()).is_ok() && trusting(&expired).is_err())
    })?;
    old.echo("still here")?;
    old.close()?;
    ensure_healthy(&httpd.error_log()?)
}

/// A client that sends messages and gets answers, until one side closes.
struct Talker {
    journal: Journal,
    answers: Arc<AtomicUsize>,
    is_to_close: Arc<AtomicBool>,
    /// Returns the status code of the close frame.
    thread: JoinHandle<Result<u16>>,
}

impl Talker {
    fn start(context: &Context, httpd: &Httpd, target: &str, size: usize) -> Result<Self> {
        let journal = Journal::new(context)?;
        let client = Client::open_tls(httpd, &journal.handshake(target))?;
        let answers = Arc::<AtomicUsize>::default();
        let is_to_close = Arc::<AtomicBool>::default();
        let (answered, closes) = (Arc::clone(&answers), Arc::clone(&is_to_close));
        Ok(Self {
            journal,
            answers,
            is_to_close,
            thread: thread::spawn(move || talk(client, size, &answered, &closes)),
        })
    }

    /// Waits until it has received more answers.
    fn expect_answers(&self) -> Result<()> {
        let enough = self.answers.load(Ordering::Relaxed) + 3;
        wait_until("a client is answered", || {
            Ok(self.thread.is_finished() || self.answers.load(Ordering::Relaxed) >= enough)
        })?;
        ensure!(!self.thread.is_finished(), "its connection is over");
        Ok(())
    }

    /// Waits for the end of its connection, which must be in order, with `on_disconnect` for the
    /// plugin.
    fn expect_end(self, status: u16) -> Result<()> {
        let received = self.thread.join().expect("it does not panic")?;
        ensure!(received == status, "closed with {received}");
        self.journal.expect_one_disconnect(Duration::from_secs(4))
    }
}

fn talk(
    mut client: TlsClient,
    size: usize,
    answers: &AtomicUsize,
    closes: &AtomicBool,
) -> Result<u16> {
    let message = "x".repeat(size);
    let mut is_closing = false;
    loop {
        if closes.load(Ordering::Relaxed) && !is_closing {
            client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
            is_closing = true;
        }
        if !is_closing {
            client.text(&message)?;
        }
        // The plugin's threads send messages, too.
        let frame = loop {
            let frame = client.frame()?;
            if frame != Frame::text(".") {
                break frame;
            }
        };
        if frame.first_byte == Opcode::CLOSE {
            if !is_closing {
                client.send(masked(Opcode::CLOSE, &frame.payload))?;
            }
            // Without close_notify, rustls would report an error.
            ensure!(
                client.next_frame()?.is_none(),
                "a frame behind the close frame"
            );
            return Ok(u16::from_be_bytes(frame.payload[..].try_into()?));
        }
        ensure!(frame.payload == message.as_bytes(), "{frame:?}");
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

fn storm(context: &Context) -> Result<()> {
    let plugin = location(context, "/hermit", "hermit", "");
    let httpd = configured(context)?.config(plugin).start()?;
    for _ in 0..5 {
        let (mut readers, (told, tells)) = (Vec::new(), channel());
        for _ in 0..CROWD {
            let mut client = Client::open_tls(&httpd, &Handshake::to("/hermit"))?;
            client.text("texts 1000000")?;
            let told = told.clone();
            readers.push(thread::spawn(move || {
                client.expect_text("text 0")?;
                told.send(())?;
                // The end may cut a TLS record into pieces.
                while client.frame().is_ok() {}
                Ok(())
            }));
        }
        for _ in 0..CROWD {
            tells.recv_timeout(PATIENCE).context("nothing comes")?;
        }
        httpd.restart()?;
        readers
            .into_iter()
            .try_for_each(|reader: JoinHandle<Result<()>>| {
                reader.join().expect("it does not panic")
            })?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn graceful(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    for round in 0..3 {
        let mut talkers = Vec::new();
        for (target, size) in [
            ("/journal", 10),
            ("/journal", 20_000),
            ("/journal", 200_000),
            ("/mutex", 10),
            ("/mutex", 20_000),
        ] {
            talkers.push(Talker::start(context, &httpd, target, size)?);
        }
        talkers.iter().try_for_each(Talker::expect_answers)?;
        let old = httpd.child_pids()?;
        httpd.graceful()?;
        talkers.iter().try_for_each(Talker::expect_answers)?;
        let started = Instant::now();
        for talker in &talkers {
            talker.is_to_close.store(true, Ordering::Relaxed);
        }
        for (number, talker) in talkers.into_iter().enumerate() {
            let outcome = talker.expect_end(1000);
            outcome.with_context(|| format!("round {round}, client {number}"))?;
        }
        await_gone(&httpd, &old)?;
        let took = started.elapsed();
        ensure!(took < GONE_WITHIN, "round {round}: took {took:?}");
    }
    ensure_healthy(&httpd.error_log()?)
}
