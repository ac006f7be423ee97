//! The event driver without threads, and the memory that it shares with the MPM's threads.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::httpd::Httpd;
use xtask::process::threads;
use xtask::server_root::Sizing;

use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Frame, Handshake, Opcode, cases, wait_until};

cases! {
    "event loops without threads leak nothing and are started again later" => few_threads,
    "clients that send without a pause delay no others and cause no new threads" => greedy,
    "a connection's memory outlives the handover by the MPM's thread"
        => held_thread,
    "in a child that stops, too, a connection's memory outlives the handover"
        => held_thread_of_old_child,
}

fn few_threads(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    // A monitor and two loops need more threads.
    for most in 0..=2 {
        let folder = shared_folder()?;
        let limit = folder.path().join("most");
        let httpd = context
            .root()?
            .sizing(Sizing {
                processes: 1,
                threads: 8,
            })
            .preload(context.plugins().library("system/few_threads"))
            .environment("FEW_THREADS", &limit)
            .config(context.plugins().locations())
            .config("WebSocketThreads 2 8")
            .start()?;
        let child = httpd.child_pids()?[0];
        let open = || Client::open(httpd.address(), &Handshake::to("/echo"));
        // By then the MPM has all its threads.
        let response = Client::ask(httpd.address(), &Handshake::to("/absent"))?;
        ensure!(response.status == 404, "{response:?}");
        fs::write(&limit, most.to_string())?;
        let mut early = open()?;
        early.echo("served by a thread of the MPM")?;
        wait_until("no thread of the event loops is left", || {
            Ok(threads(child, "websocket")? + threads(child, "ws-monitor")? == 0)
        })?;
        fs::remove_file(&limit)?;
        wait_until("the event loops run", || {
            open()?.echo("hello")?;
            Ok(threads(child, "websocket")? == 2)
        })?;
        // More than the number of MPM threads.
        let mut clients = (0..12).map(|_| open()).collect::<Result<Vec<_>>>()?;
        clients.push(early);
        for client in &mut clients {
            client.echo("hello")?;
        }
        for client in clients {
            client.close()?;
        }
        let log = httpd.error_log()?;
        ensure!(httpd.stop()?.success());
        ensure!(log.contains("need a thread for now"), "{log}");
        ensure_healthy(&log)?;
    }
    Ok(())
}

/// A client that sends one-byte messages without a pause and reads the echoes.
struct Greedy {
    stream: TcpStream,
    threads: [JoinHandle<()>; 2],
}

impl Greedy {
    /// Adds the bytes of the echoes to `received`.
    fn start(client: Client, received: &Arc<AtomicU64>) -> Result<Self> {
        let (mut output, mut input) = (client.stream.try_clone()?, client.stream.try_clone()?);
        let received = Arc::clone(received);
        // Both threads end with the connection.
        let writer = thread::spawn(move || {
            let messages = masked(Opcode::TEXT, "x").repeat(8 * 1024);
            while output.write_all(&messages).is_ok() {}
        });
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 256 * 1024];
            while let Ok(read @ 1..) = input.read(&mut buffer) {
                received.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
        Ok(Self {
            stream: client.stream,
            threads: [writer, reader],
        })
    }

    fn end(self) -> Result<()> {
        self.stream.shutdown(Shutdown::Both)?;
        for thread in self.threads {
            ensure!(thread.join().is_ok(), "a thread of a client has panicked");
        }
        Ok(())
    }
}

fn greedy(context: &Context) -> Result<()> {
    const GREEDY: usize = 10;
    const ECHOES: usize = 41;
    /// The largest median number of messages of the other clients that are answered while this one
    /// waits for an echo. A turn answers at most some thousands. If only the bytes of a turn were
    /// limited, it would be 300,000.
    const MOST: u64 = 40_000;
    /// Two loops. The monitor may see their threads asleep for a moment.
    const MOST_THREADS: usize = 2 + 6;
    if context.driver != Driver::Event {
        return Ok(());
    }
    let httpd = context.start_small(25, "WebSocketThreads 2 64\n")?;
    let child = httpd.child_pids()?[0];
    let open = || Client::open(httpd.address(), &Handshake::to("/echo"));
    let received = Arc::new(AtomicU64::new(0));
    let greedy = (0..GREEDY)
        .map(|_| Greedy::start(open()?, &received))
        .collect::<Result<Vec<_>>>()?;
    wait_until("echoes come", || {
        Ok(received.load(Ordering::Relaxed) > 1 << 20)
    })?;
    let mut quiet = open()?;
    let mut between = Vec::new();
    for _ in 0..ECHOES {
        let before = received.load(Ordering::Relaxed);
        quiet.echo("hello")?;
        // An echo has two bytes of header.
        between.push((received.load(Ordering::Relaxed) - before) / 3);
    }
    let threads = threads(child, "websocket")?;
    for client in greedy {
        client.end()?;
    }
    between.sort_unstable();
    let middle = between[ECHOES / 2];
    ensure!(middle < MOST, "{between:?} messages between two echoes");
    ensure!(threads <= MOST_THREADS, "{threads} threads");
    ensure_healthy(&httpd.error_log()?)
}

fn held_thread(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let (httpd, held) = Held::start(context)?;
    let child = httpd.child_pids()?;
    let client = held.hold(&httpd)?;
    client.end()?;
    held.let_go()?;
    // The same thread accepts new connections.
    for _ in 0..20 {
        Client::open(httpd.address(), &Handshake::to("/echo"))?.echo("hello")?;
    }
    ensure!(httpd.child_pids()? == child, "the child has died");
    ensure_healthy(&httpd.error_log()?)
}

fn held_thread_of_old_child(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let (httpd, held) = Held::start(context)?;
    let child = PathBuf::from(format!("/proc/{}", httpd.child_pids()?[0]));
    let mut client = held.hold(&httpd)?;
    httpd.graceful()?;
    client.0.expect(&Frame::close(1012))?;
    client.end()?;
    held.let_go()?;
    wait_until("the old child is gone", || Ok(!child.exists()))?;
    ensure_healthy(&httpd.error_log()?)
}

/// The folder through which the tests control `held_thread.c`.
struct Held(TempDir);

/// A client whose connection an MPM thread has not released yet.
struct HeldClient(Client);

impl Held {
    fn start(context: &Context) -> Result<(Httpd, Self)> {
        let held = Self(shared_folder()?);
        let httpd = context
            .root()?
            .sizing(Sizing {
                processes: 1,
                threads: 4,
            })
            .load_module(
                "held_thread_module",
                context.plugins().library("system/held_thread"),
            )
            .environment("HELD_THREAD", held.0.path())
            // Makes every block of APR a mapping of its own, which free() unmaps.
            .environment("MALLOC_MMAP_THRESHOLD_", "4096")
            .config(context.plugins().locations())
            .config("WebSocketDrainTime 0")
            .start()?;
        Ok((httpd, held))
    }

    /// Opens a connection and stops the thread that hands it over.
    fn hold(&self, httpd: &Httpd) -> Result<HeldClient> {
        loop {
            fs::write(self.path("arm"), "")?;
            let client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
            let [held, missed] = ["held", "missed"].map(|name| self.path(name));
            wait_until("the thread is stopped", || {
                Ok(held.exists() || missed.exists())
            })?;
            fs::remove_file(self.path("arm"))?;
            if held.exists() {
                return Ok(HeldClient(client));
            }
            fs::remove_file(missed)?;
        }
    }

    /// Lets the thread continue. Returns when it has.
    fn let_go(&self) -> Result<()> {
        fs::write(self.path("go"), "")?;
        wait_until("the thread goes on", || Ok(self.path("went").exists()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl HeldClient {
    /// Ends the connection. Returns when the server has closed its descriptor.
    fn end(self) -> Result<()> {
        let Self(mut client) = self;
        client.send(masked(Opcode::CLOSE, ""))?;
        client.drain()?;
        wait_until("the server has closed the connection", || {
            Ok(client.stream.write_all(b"x").is_err())
        })
    }
}

/// A folder that httpd's children may use under any account.
fn shared_folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("websocket-").tempdir()?;
    let everybody = Permissions::from_mode(0o777);
    fs::set_permissions::<&Path>(folder.path(), everybody)?;
    Ok(folder)
}
