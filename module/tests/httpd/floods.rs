//! Clients that send without end, or as slowly as they can: others do not notice.

use std::io::Read as _;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::process::resident_kib;

use crate::support::frame::masked;
use crate::support::latency::ensure_low;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Frame, Handshake, Opcode, cases};

cases! {
    "a flood of pings delays no other client and takes little memory, read or not" => pings,
    "a flood of tiny messages delays no other client and takes little memory, read or not"
        => tiny_messages,
    "a flood of empty fragments ends with 1008, delays no other client and takes little memory"
        => empty_fragments,
    "clients that send frames byte by byte delay no other client, and stop with 1008"
        => slow_frames,
    "handshakes that never end get 408 from mod_reqtimeout, and WebSockets are left alone"
        => slow_handshakes,
}

/// How many clients are hostile, and how many measure.
const HOSTILE: usize = 4;
const OTHERS: usize = 4;

/// The most memory that they make a process take. The queue of each may have 1 MiB before the
/// server reads no more.
const MOST_KIB: u64 = 24 * 1024;

fn open(httpd: &Httpd) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to("/echo"))
}

/// The memory of the largest child.
fn most_resident(httpd: &Httpd) -> Result<u64> {
    let children = httpd.child_pids()?;
    let sizes = children.iter().filter_map(|&pid| resident_kib(pid).ok());
    sizes.max().context("no child")
}

/// Checks that the echoes of others come soon, and that memory stays, while hostile clients run.
fn endure(
    context: &Context,
    config: &str,
    hostile: impl Fn(&Httpd, usize, &AtomicBool) -> Result<()> + Sync,
) -> Result<()> {
    let httpd = context.start_small(16, config)?;
    let mut others = (0..OTHERS)
        .map(|_| open(&httpd))
        .collect::<Result<Vec<_>>>()?;
    ensure_low(&mut others, "hello", "hello").context("before")?;
    let before = most_resident(&httpd)?;
    let is_over = AtomicBool::new(false);
    let (httpd, hostile, is_over) = (&httpd, &hostile, &is_over);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..HOSTILE)
            .map(|number| scope.spawn(move || hostile(httpd, number, is_over)))
            .collect();
        let delay = ensure_low(&mut others, "hello", "hello");
        let grown = most_resident(httpd).map(|now| now.saturating_sub(before));
        is_over.store(true, Ordering::Relaxed);
        let ends = threads
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"));
        ends.collect::<Result<Vec<_>>>()
            .context("a hostile client")?;
        delay?;
        let grown = grown?;
        ensure!(grown < MOST_KIB, "{grown} KiB more");
        anyhow::Ok(())
    })?;
    others.into_iter().try_for_each(Client::close)?;
    ensure_healthy(&httpd.error_log()?)
}

/// Sends `frames` again and again. Every other client takes what comes back.
fn flood(context: &Context, frame: &[u8]) -> Result<()> {
    let frames = frame.repeat(1000);
    endure(context, "", |httpd, number, is_over| {
        let client = open(httpd)?;
        let mut sender = client.stream.try_clone()?;
        thread::scope(|scope| {
            let takes = number.is_multiple_of(2);
            let mut receiver = client.stream.try_clone()?;
            if takes {
                scope.spawn(move || {
                    let mut bytes = vec![0; 1 << 16];
                    while receiver.read(&mut bytes).is_ok_and(|read| read > 0) {}
                });
            }
            // Whoever takes nothing is not read from after a while.
            let socket = client.stream.try_clone()?;
            let ending = scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                socket.shutdown(Shutdown::Both)
            });
            while std::io::Write::write_all(&mut sender, &frames).is_ok() {}
            let was_ended = is_over.load(Ordering::Relaxed);
            // An error only means that the server has closed the connection.
            let _ = ending.join().expect("it does not panic");
            ensure!(was_ended, "the server has ended a connection");
            Ok(())
        })
    })
}

fn pings(context: &Context) -> Result<()> {
    flood(context, &masked(Opcode::PING, "hello"))
}

fn tiny_messages(context: &Context) -> Result<()> {
    flood(context, &masked(Opcode::TEXT, "x"))
}

fn empty_fragments(context: &Context) -> Result<()> {
    /// More than `WebSocketMaxFragments` allows.
    const FRAGMENTS: usize = 17_000;
    let mut frames = masked(Opcode::FIRST_TEXT, "");
    frames.extend(masked(Opcode::MIDDLE, "").repeat(FRAGMENTS));
    endure(context, "", |httpd, _, is_over| {
        let mut ended = 0;
        while ended == 0 || !is_over.load(Ordering::Relaxed) {
            let mut client = open(httpd)?;
            // The server may close the connection before it has taken all.
            let _ = client.send(&frames);
            client.expect(&Frame::close(1008))?;
            ended += 1;
        }
        Ok(())
    })
}

fn slow_frames(context: &Context) -> Result<()> {
    /// The clients of each hostile thread; all together are more than there are threads.
    const CLIENTS: usize = 12;
    let frame = masked(Opcode::TEXT, "x".repeat(100_000));
    let clients = if context.driver == Driver::Event {
        CLIENTS
    } else {
        2
    };
    endure(
        context,
        "WebSocketMessageTimeout 2s",
        |httpd, _, is_over| {
            let mut slow = (0..clients)
                .map(|_| open(httpd))
                .collect::<Result<Vec<_>>>()?;
            for byte in frame.chunks(1) {
                for client in &mut slow {
                    client.send(byte)?;
                }
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(Duration::from_millis(20)); // the clients' pace
            }
            for client in &mut slow {
                client.expect(&Frame::new(Opcode::CLOSE, b"\x03\xF0message timeout"))?;
            }
            Ok(())
        },
    )
}

fn slow_handshakes(context: &Context) -> Result<()> {
    const THREADS: u32 = 8;
    const SLOW: usize = 20;
    /// Far less than httpd's `Timeout`.
    const WITHIN: Duration = Duration::from_secs(15);
    let config = "RequestReadTimeout handshake=1 header=1 body=1\nTimeout 60\n";
    let httpd = context.start_small(THREADS, config)?;
    let mut served = open(&httpd)?;
    // Half a frame: mod_reqtimeout has nothing to do with it.
    let frame = masked(Opcode::TEXT, "hello");
    served.send(&frame[..7])?;
    let began = Instant::now();
    let slow = (0..SLOW)
        .map(|_| {
            let mut client = Client::connect(httpd.address())?;
            client.send("GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: webso")?;
            Ok(client)
        })
        .collect::<Result<Vec<_>>>()?;
    for (number, mut client) in slow.into_iter().enumerate() {
        let response = client.response().with_context(|| number.to_string())?;
        ensure!(response.status == 408, "{response:?}");
    }
    ensure!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    served.send(&frame[7..])?;
    served.expect_text("hello")?;
    open(&httpd)?.close()?;
    served.close()
}
