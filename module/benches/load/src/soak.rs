//! The third experiment: connections that come and go, in every way a client may end one.
//!
//! The request of each carries a number, so that its line in the access log can be told from
//! others: `?waits=NUMBER` if its client waits for the 101, or else `?leaves=NUMBER`.

use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::sockopt::set_socket_linger;

use crate::frames::{close_frame, masked, unmasked};
use crate::opening::{Opener, take_answer, take_refusal};
use crate::texts::Texts;
use crate::transport::{ReadWrite, Transport};

/// Length of the one message on a connection, in bytes.
const SIZE: usize = 32;

/// A close frame with status 1000, and one with 1001, as a server sends them.
const NORMAL: [u8; 4] = [0x88, 2, 0x03, 0xe8];
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The numbers of the connections.
    pub cycles: Range<u64>,
    /// How many there are at a time.
    pub clients: usize,
    /// The server may go away, and then has to send 1001.
    pub restarts: bool,
    /// Some requests are redirected by the server, and some refused.
    pub redirects: bool,
}

/// Where a request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the server's WebSockets.
    Straight,
    /// There by an internal redirect to the path of this one.
    Redirected(&'static str),
    /// To a refusal (403), whose page is in the location of the WebSockets.
    Refused,
}

const WAYS: [Way; 4] = [
    Way::Straight,
    Way::Redirected("/rewritten"),
    Way::Redirected("/action"),
    Way::Refused,
];

/// What such a refusal says.
const PAGE: &str = "denied";

/// What a connection does after the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Nothing: the client does not wait for the 101.
    Ask,
    /// It waits for the 101.
    Answer,
    /// It also has a message echoed.
    Echo,
}

/// How its client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With the closing handshake if there was an echo, or else with the end of its bytes.
    Close,
    Reset,
}

const KINDS: [(Life, End); 6] = [
    (Life::Echo, End::Close),
    (Life::Echo, End::Reset),
    (Life::Ask, End::Close),
    (Life::Ask, End::Reset),
    (Life::Answer, End::Close),
    (Life::Answer, End::Reset),
];

/// What all connections have shown; prints as `name=value` pairs on one line.
#[derive(Debug)]
pub struct Measurement {
    elapsed: Duration,
    answered: u64,
    refused: u64,
    echoed: u64,
    goodbyes: u64,
}

#[derive(Default)]
struct Counts {
    next: AtomicU64,
    has_failed: AtomicBool,
    /// With 101 or, as [`Plan::redirects`] says, 403.
    answered: AtomicU64,
    refused: AtomicU64,
    echoed: AtomicU64,
    /// 1001 where an echo or the answer to a close frame was due.
    goodbyes: AtomicU64,
}

/// Opens and ends the connections of `plan`. Now and then a line `done=NUMBER` is printed: how many
/// have come so far.
///
/// # Errors
/// A connection cannot be opened or breaks, or what comes back is wrong.
pub fn soak(opener: &Opener, plan: &Plan) -> Result<Measurement> {
    let counts = Counts {
        next: AtomicU64::new(plan.cycles.start),
        ..Counts::default()
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let client = || {
            let result = client(opener.clone(), plan, &counts);
            if result.is_err() {
                counts.has_failed.store(true, Ordering::Relaxed);
            }
            result
        };
        let clients: Vec<_> = (0..plan.clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| {
            let result = client.join();
            result.unwrap_or_else(|_| bail!("a client has panicked"))
        })
    })?;
    Ok(Measurement {
        elapsed: start.elapsed(),
        answered: counts.answered.into_inner(),
        refused: counts.refused.into_inner(),
        echoed: counts.echoed.into_inner(),
        goodbyes: counts.goodbyes.into_inner(),
    })
}

fn client(mut opener: Opener, plan: &Plan, counts: &Counts) -> Result<()> {
    let (start, end) = (plan.cycles.start, plan.cycles.end);
    let step = ((end - start) / 100).max(1);
    while !counts.has_failed.load(Ordering::Relaxed) {
        let number = counts.next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            break;
        }
        let kinds = KINDS.len() as u64;
        let (life, ending) = KINDS[usize::try_from(number % kinds)?];
        let way = if plan.redirects {
            WAYS[usize::try_from(number / kinds % WAYS.len() as u64)?]
        } else {
            Way::Straight
        };
        cycle(&mut opener, number, (way, life, ending), plan, counts)
            .with_context(|| format!("connection {number} ({way:?}, {life:?}, {ending:?})"))?;
        if (number - start + 1).is_multiple_of(step) {
            println!("done={}", number - start + 1);
        }
    }
    Ok(())
}

fn cycle(
    opener: &mut Opener,
    number: u64,
    (way, life, end): (Way, Life, End),
    plan: &Plan,
    counts: &Counts,
) -> Result<()> {
    let mut transport = opener.connect()?;
    let mut stream = transport.blocking();
    let word = if life == Life::Ask { "leaves" } else { "waits" };
    let path = match way {
        Way::Straight => opener.path(),
        Way::Redirected(path) => path,
        Way::Refused => "/denied",
    };
    opener.ask(&mut stream, &format!("{path}?{word}={number}"))?;
    if life != Life::Ask && way == Way::Refused {
        take_refusal(&mut stream, PAGE)?;
        counts.answered.fetch_add(1, Ordering::Relaxed);
        counts.refused.fetch_add(1, Ordering::Relaxed);
    } else if life != Life::Ask {
        let (_, mut received) = take_answer(&mut stream)?;
        counts.answered.fetch_add(1, Ordering::Relaxed);
        if life == Life::Echo && talk(&mut *stream, &mut received, end, counts)? == Talk::Cut {
            ensure!(
                plan.restarts,
                "1001, though nobody has asked the server to stop"
            );
            counts.goodbyes.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop(stream);
    if end == End::Reset {
        reset(transport)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    Finished,
    /// The server has gone away.
    Cut,
}

/// Has a message echoed, and closes if the connection is to end so.
fn talk(
    stream: &mut dyn ReadWrite,
    received: &mut Vec<u8>,
    end: End,
    counts: &Counts,
) -> Result<Talk> {
    let texts = Texts::ascii(SIZE);
    let echo = &unmasked(texts.text(0), false)[..];
    // The server may have gone by now; what it has sent before tells.
    let _ = stream.write_all(&masked(texts.text(0), false));
    if expect(stream, received, echo).context("no echo")? == Talk::Cut {
        return leave(stream);
    }
    counts.echoed.fetch_add(1, Ordering::Relaxed);
    if end == End::Reset {
        return Ok(Talk::Finished);
    }
    let _ = stream.write_all(&close_frame());
    if expect(stream, received, &NORMAL).context("no answer to the close frame")? == Talk::Cut {
        return leave(stream);
    }
    let left = stream.read(&mut [0; 64]).context("no end")?;
    ensure!(left == 0, "{left} bytes where the connection should end");
    Ok(Talk::Finished)
}

/// Waits for `expected`, or for a close frame with 1001.
fn expect(stream: &mut dyn ReadWrite, received: &mut Vec<u8>, expected: &[u8]) -> Result<Talk> {
    loop {
        if received.starts_with(expected) {
            received.drain(..expected.len());
            return Ok(Talk::Finished);
        }
        if received.starts_with(&GOING_AWAY) {
            return Ok(Talk::Cut);
        }
        ensure!(
            expected.starts_with(received) || GOING_AWAY.starts_with(received),
            "{received:?} instead of {expected:?}"
        );
        let mut buffer = [0; 256];
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "the connection ended after {received:?}");
        received.extend_from_slice(&buffer[..n]);
    }
}

/// Answers the server's close frame and waits for the end, in order or not: a server that stops
/// does not wait for the answer.
fn leave(stream: &mut dyn ReadWrite) -> Result<Talk> {
    let _ = stream.write_all(&close_frame());
    let mut buffer = [0; 256];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(Talk::Cut),
            Ok(_) => {}
            Err(error) if is_end(&error) => return Ok(Talk::Cut),
            Err(error) => return Err(error).context("no end after 1001"),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
    )
}

/// Goes away with a TCP reset.
fn reset(transport: Transport) -> io::Result<()> {
    set_socket_linger(transport.socket(), Some(Duration::ZERO))?;
    drop(transport);
    Ok(())
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "elapsed_ns={} answered={} refused={} echoed={} goodbyes={}",
            self.elapsed.as_nanos(),
            self.answered,
            self.refused,
            self.echoed,
            self.goodbyes
        )
    }
}
