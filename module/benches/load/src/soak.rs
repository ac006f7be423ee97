//! The third experiment: connections that come and go, in every way a client may end one.
//!
//! The request of each carries a number, so that its line in the access log can be told from
//! others: `?waits=NUMBER` if its client waits for the 101, or else `?leaves=NUMBER`.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
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

/// How long a connection that stays open is quiet: much less than the time after which the module
/// pings it.
const PAUSE: Duration = Duration::from_secs(5);

/// A close frame with status 1000, as a server sends it.
const NORMAL: [u8; 4] = [0x88, 2, 0x03, 0xe8];

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The numbers of the connections.
    pub cycles: Range<u64>,
    /// How many there are at a time.
    pub clients: usize,
    /// How many more there are, all the time: they outlive restarts of the server.
    pub survivors: usize,
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
    survived: usize,
}

#[derive(Default)]
struct Counts {
    next: AtomicU64,
    has_failed: AtomicBool,
    /// With 101 or, as [`Plan::redirects`] says, 403.
    answered: AtomicU64,
    refused: AtomicU64,
    echoed: AtomicU64,
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
    let survivors = (0..plan.survivors)
        .map(|_| open(&mut opener.clone()))
        .collect::<Result<Vec<_>>>()?;
    let survived = survivors.len();
    let start = Instant::now();
    let elapsed = thread::scope(|scope| {
        let client = || {
            let result = client(opener.clone(), plan, &counts);
            if result.is_err() {
                counts.has_failed.store(true, Ordering::Relaxed);
            }
            result
        };
        let clients: Vec<_> = (0..plan.clients).map(|_| scope.spawn(client)).collect();
        let (over, is_over) = mpsc::channel();
        let survivors = scope.spawn(move || survive(survivors, &is_over));
        let ended = clients.into_iter().try_for_each(|client| {
            let result = client.join();
            result.unwrap_or_else(|_| bail!("a client has panicked"))
        });
        let elapsed = start.elapsed();
        drop(over);
        let survived = survivors.join();
        let survived = survived.unwrap_or_else(|_| bail!("a client has panicked"));
        ended.and(survived.context("a connection that was open all the time"))?;
        anyhow::Ok(elapsed)
    })?;
    Ok(Measurement {
        elapsed,
        answered: counts.answered.into_inner(),
        refused: counts.refused.into_inner(),
        echoed: counts.echoed.into_inner(),
        survived,
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
        cycle(&mut opener, number, (way, life, ending), counts)
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
        if life == Life::Echo {
            echo(&mut *stream, &mut received)?;
            if end == End::Close {
                close(&mut *stream, &mut received)?;
            }
            counts.echoed.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop(stream);
    if end == End::Reset {
        reset(transport)?;
    }
    Ok(())
}

/// Opens a connection that asks for no number.
fn open(opener: &mut Opener) -> Result<(Transport, Vec<u8>)> {
    let mut transport = opener.connect()?;
    let mut stream = transport.blocking();
    let path = opener.path().to_owned();
    opener.ask(&mut stream, &path)?;
    let (_, received) = take_answer(&mut stream)?;
    drop(stream);
    Ok((transport, received))
}

/// Has a message echoed by each of these connections every [`PAUSE`] until `is_over`, so that they
/// are neither taken for dead nor lost in a restart unnoticed. Then closes them.
fn survive(mut survivors: Vec<(Transport, Vec<u8>)>, is_over: &Receiver<()>) -> Result<()> {
    while is_over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        for (transport, received) in &mut survivors {
            echo(&mut *transport.blocking(), received)?;
        }
    }
    for (mut transport, mut received) in survivors {
        let mut stream = transport.blocking();
        echo(&mut *stream, &mut received)?;
        close(&mut *stream, &mut received)?;
    }
    Ok(())
}

/// Has a message echoed.
fn echo(stream: &mut dyn ReadWrite, received: &mut Vec<u8>) -> Result<()> {
    let texts = Texts::ascii(SIZE);
    stream.write_all(&masked(texts.text(0), false))?;
    expect(stream, received, &unmasked(texts.text(0), false)).context("no echo")
}

/// Closes with the closing handshake.
fn close(stream: &mut dyn ReadWrite, received: &mut Vec<u8>) -> Result<()> {
    stream.write_all(&close_frame())?;
    expect(stream, received, &NORMAL).context("no answer to the close frame")?;
    let left = stream.read(&mut [0; 64]).context("no end")?;
    ensure!(left == 0, "{left} bytes where the connection should end");
    Ok(())
}

/// Waits for `expected`.
fn expect(stream: &mut dyn ReadWrite, received: &mut Vec<u8>, expected: &[u8]) -> Result<()> {
    while !received.starts_with(expected) {
        ensure!(
            expected.starts_with(received),
            "{received:?} instead of {expected:?}"
        );
        let mut buffer = [0; 256];
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "the connection ended after {received:?}");
        received.extend_from_slice(&buffer[..n]);
    }
    received.drain(..expected.len());
    Ok(())
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
            "elapsed_ns={} answered={} refused={} echoed={} survived={}",
            self.elapsed.as_nanos(),
            self.answered,
            self.refused,
            self.echoed,
            self.survived
        )
    }
}
