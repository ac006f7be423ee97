//! The second experiment: many connections that do nothing.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::generator::{Generator, Messages};
use crate::opening::Opener;
use crate::server::Server;
use crate::texts::Texts;

/// How long a message is, in bytes.
const SIZE: usize = 32;

/// How many of the connections the latency is measured on, first alone and then among the others.
const PROBES: usize = 10;

/// What idle connections have shown; prints as `name=value` pairs on one line.
#[derive(Debug)]
pub struct Measurement {
    connections: usize,
    opening: Duration,
    /// Memory in bytes, for each connection, when it has just been opened.
    memory_opened: u64,
    /// The same when each has echoed a message.
    memory_used: u64,
    alone: Latency,
    among_all: Latency,
}

/// Nanoseconds from sending a message to having its echo.
#[derive(Debug)]
struct Latency {
    p50: u64,
    p99: u64,
}

/// Opens `count` connections, has each echo once, and measures what they cost. The latency is taken
/// for `duration`, with one message in flight on each of ten connections.
///
/// # Errors
/// A connection cannot be opened or breaks, or an echo is wrong or missing.
pub fn idle(
    opener: &mut Opener,
    server: Server,
    count: usize,
    duration: Duration,
) -> Result<Measurement> {
    ensure!(count > PROBES, "more than {PROBES} connections, please");
    let mut generator = Generator::new(Texts::ascii(SIZE), 1)?;
    open(opener, &mut generator, PROBES)?;
    let alone = latency_of_probes(&mut generator, duration)?;

    let (start, memory_before) = (Instant::now(), memory(server)?);
    open(opener, &mut generator, count)?;
    let (opening, memory_opened) = (start.elapsed(), memory(server)?);
    echo_once_each(&mut generator)?;
    let memory_used = memory(server)?;

    let among_all = latency_of_probes(&mut generator, duration)?;
    generator.close()?;
    let others = (count - PROBES) as u64;
    Ok(Measurement {
        connections: count,
        opening,
        memory_opened: memory_opened.saturating_sub(memory_before) / others,
        memory_used: memory_used.saturating_sub(memory_before) / others,
        alone,
        among_all,
    })
}

fn memory(server: Server) -> Result<u64> {
    server.processes()?.proportional_set_size()
}

/// Opens connections until there are `count`.
fn open(opener: &mut Opener, generator: &mut Generator, count: usize) -> Result<()> {
    while generator.connections() < count {
        let opened = opener
            .open()
            .with_context(|| format!("connection {} of {count}", generator.connections() + 1))?;
        generator.add(opened)?;
    }
    Ok(())
}

fn latency_of_probes(generator: &mut Generator, duration: Duration) -> Result<Latency> {
    generator.take_latency();
    for connection in 0..PROBES {
        generator.send(Messages {
            connection,
            count: 1,
        })?;
    }
    generator.run_until(Instant::now() + duration, Some)?;
    generator.run_to_end(|_| None)?;
    let latency = generator.take_latency();
    Ok(Latency {
        p50: latency.value_at_quantile(0.5),
        p99: latency.value_at_quantile(0.99),
    })
}

/// Sends a message over every connection, the next one when an echo has come.
fn echo_once_each(generator: &mut Generator) -> Result<()> {
    const AT_ONCE: usize = 16;
    let mut messages = (0..generator.connections()).map(|connection| Messages {
        connection,
        count: 1,
    });
    for messages in messages.by_ref().take(AT_ONCE) {
        generator.send(messages)?;
    }
    generator.run_to_end(|_| messages.next())
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "connections={} opening_ns={} memory_opened={} memory_used={} \
             alone_p50_ns={} alone_p99_ns={} among_all_p50_ns={} among_all_p99_ns={}",
            self.connections,
            self.opening.as_nanos(),
            self.memory_opened,
            self.memory_used,
            self.alone.p50,
            self.alone.p99,
            self.among_all.p50,
            self.among_all.p99
        )
    }
}
