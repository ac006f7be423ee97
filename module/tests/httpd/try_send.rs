//! Sending without waiting for the client.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::Sizing;

use crate::rust::location;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Handshake, PATIENCE, cases};

cases! {
    "a message that would have to wait is refused as a whole, and earlier ones arrive" => refused,
    "a message sent before the 101 is refused when the queue is full" => early,
    "a room does not wait for slow members and closes their connections with 1013" => room,
}

const MEBIBYTE: usize = 1 << 20;

fn start(context: &Context, config: &str) -> Result<Httpd> {
    let sizing = Sizing {
        processes: 1,
        threads: 16,
    };
    context
        .root()?
        .sizing(sizing)
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config("SendBufferSize 65536")
        .config(config)
        .start()
}

/// The number of messages that were accepted before one was refused because of a full queue.
fn accepted(journal: &Journal) -> Result<usize> {
    let result = journal.wait_for("tried ")?;
    ensure!(result == "2", "{result}, not WEBSOCKET_SEND_FULL");
    Ok(journal.wait_for("accepted ")?.parse()?)
}

fn refused(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for how in ["callback", "thread"] {
        let journal = Journal::new(context)?;
        let handshake = journal.handshake("/tries");
        take_back(Client::open(httpd.address(), &handshake)?, &journal, how).context(how)?;
        let journal = Journal::new(context)?;
        let handshake = journal.handshake("/tries");
        take_back(Client::open_tls(&httpd, &handshake)?, &journal, how).context("TLS")?;
    }
    Ok(())
}

fn take_back<S: Read + Write>(mut client: Client<S>, journal: &Journal, how: &str) -> Result<()> {
    let started = Instant::now();
    client.text(how)?;
    let accepted = accepted(journal)?;
    let took = started.elapsed();
    ensure!(took < PATIENCE / 2, "it took {took:?} to try");
    // 16 messages fill the queue. The socket's buffers may take some more.
    ensure!((16..40).contains(&accepted), "{accepted} accepted");
    client.text("behind")?;
    for _ in 0..accepted {
        ensure!(client.frame()?.payload.len() == MEBIBYTE);
    }
    client.expect_text("behind")?;
    journal.wait_for("drained")?;
    client.close()?;
    ensure!(journal.count("drained")? == 1, "{:?}", journal.lines()?);
    Ok(())
}

fn early(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let journal = Journal::new(context)?;
    let handshake = journal.handshake("/tries").header("X-Early", "yes");
    let mut client = Client::open(httpd.address(), &handshake)?;
    let accepted = accepted(&journal)?;
    ensure!(accepted == 16, "{accepted}");
    for _ in 0..accepted {
        ensure!(client.frame()?.payload.len() == MEBIBYTE);
    }
    client.echo("hello")?;
    client.close()
}

/// The number of bytes per read, and the pause between reads.
type Pace = Option<(usize, Duration)>;

const PACES: [Pace; 3] = [
    None,
    Some((1, Duration::from_secs(2))),
    Some((1024, Duration::from_millis(125))),
];

/// A closed client has five seconds to take what is left, so it must soon hear of the end of the
/// talk: the shorter the queue, the shorter the talk.
const QUEUE: usize = 2 * MEBIBYTE;

fn room(context: &Context) -> Result<()> {
    for directives in ["", "WebSocketDetach On"] {
        let config = location(context, "/room", "chat", directives);
        // Clients of both virtual hosts are in one room.
        let httpd = start(
            context,
            &format!("WebSocketTopicSpace room\nWebSocketSendQueue {QUEUE}\n{config}"),
        )?;
        stays_lively(&httpd).with_context(|| directives.to_owned())?;
    }
    Ok(())
}

fn stays_lively(httpd: &Httpd) -> Result<()> {
    let handshake = Handshake::to("/room");
    let mut slow = Vec::new();
    for pace in PACES {
        let client = Client::open(httpd.address(), &handshake)?;
        slow.push((client, pace));
    }
    let slow_tls = Client::open_tls(httpd, &handshake)?;
    let mut alice = Client::open(httpd.address(), &handshake)?;
    let mut bob = Client::open(httpd.address(), &handshake)?;
    thread::scope(|scope| {
        let (mut talks, mut readers) = (Vec::new(), Vec::new());
        for (client, pace) in slow {
            let (talk, is_over) = channel();
            talks.push(talk);
            readers.push(scope.spawn(move || read_at(client.stream, pace, &is_over)));
        }
        let (talk, is_over) = channel();
        talks.push(talk);
        readers.push(scope.spawn(move || read_at(slow_tls.stream, None, &is_over)));
        let talked = self::talk(&mut alice, &mut bob);
        drop(talks);
        talked?;
        readers
            .into_iter()
            .zip(["no byte", "a byte in two seconds", "8 KiB a second", "TLS"])
            .try_for_each(|(reader, how)| reader.join().expect("it does not panic").context(how))
    })
}

/// Alice sends more than a member's queue and the system's buffers have room for. Both get it
/// without delay.
fn talk(alice: &mut Client, bob: &mut Client) -> Result<()> {
    // The rest of a long message would not be sent before the close frame: the connection would be
    // dropped.
    const LENGTH: usize = 16 << 10;
    // Several at once, because a talk takes a switch of threads for each answer that is waited for.
    const AT_ONCE: usize = 16;
    let text = "x".repeat(LENGTH);
    for first in (0..(QUEUE + MEBIBYTE) / LENGTH).step_by(AT_ONCE) {
        let started = Instant::now();
        let numbers = first..first + AT_ONCE;
        for number in numbers.clone() {
            alice.text(format!(r#"{{"type":"say","text":"{number} {text}"}}"#))?;
        }
        for client in [&mut *alice, &mut *bob] {
            for number in numbers.clone() {
                while !hears(client, number)? {}
            }
        }
        let took = started.elapsed();
        ensure!(took < PATIENCE / 2, "{numbers:?} took {took:?}");
    }
    Ok(())
}

fn hears(client: &mut Client, number: usize) -> Result<bool> {
    let event = client.next_text()?;
    Ok(event.contains(&format!("\"text\":\"{number} xxx")))
}

/// Reads slowly while the others talk, then reads everything that is left. The talk is over when
/// the sender has gone.
fn read_at(mut stream: impl Read, pace: Pace, is_over: &Receiver<()>) -> Result<()> {
    let mut bytes = vec![0; 1 << 16];
    let mut read = Vec::new();
    match pace {
        None => {
            let _ = is_over.recv();
        }
        Some((size, pause)) => loop {
            let length = stream.read(&mut bytes[..size])?;
            read.extend_from_slice(&bytes[..length]);
            if is_over.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        },
    }
    while !read.ends_with(b"\x03\xf5slow client") {
        let length = stream.read(&mut bytes)?;
        ensure!(length > 0, "no close frame behind {} bytes", read.len());
        read.extend_from_slice(&bytes[..length]);
    }
    Ok(())
}
