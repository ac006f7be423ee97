//! The first experiment: as many messages as the server takes.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::generator::{Generator, Messages};
use crate::opening::Opener;
use crate::server::Server;
use crate::shape::Shape;
use crate::texts::Texts;

/// Before counting begins, the load has run for this part of the time.
const WARM_UP: f64 = 0.2;

/// What one run has shown; prints as `name=value` pairs on one line.
#[derive(Debug)]
pub struct Measurement {
    messages: u64,
    elapsed: Duration,
    server_cpu: Duration,
    own_cpu: Duration,
    latency_p50: u64,
    latency_p99: u64,
    /// Bytes of frames.
    sent: u64,
    received: u64,
}

/// Keeps the server busy with `texts` for `duration`, and measures.
///
/// # Errors
/// A connection cannot be opened or breaks, or an echo is wrong or missing.
pub fn run(
    opener: &mut Opener,
    server: Server,
    shape: Shape,
    texts: Texts,
    duration: Duration,
) -> Result<Measurement> {
    let mut generator = Generator::new(texts, shape.in_flight)?;
    for _ in 0..shape.connections {
        generator.add(opener.open()?)?;
    }
    for connection in 0..shape.connections {
        let count = shape.in_flight as u64;
        generator.send(Messages { connection, count })?;
    }
    generator.run_until(Instant::now() + duration.mul_f64(WARM_UP), Some)?;

    generator.take_latency();
    let server = server.processes()?;
    let traffic_before = generator.traffic();
    let (start, cpu_before) = (Instant::now(), server.cpu_time()?);
    let messages = generator.run_until(start + duration, Some)?;
    let (elapsed, cpu) = (start.elapsed(), server.cpu_time()? - cpu_before);
    let traffic = generator.traffic();
    let latency = generator.take_latency();
    ensure!(messages > 0, "no message came back within {duration:?}");

    generator.run_to_end(|_| None)?;
    generator.close()?;
    Ok(Measurement {
        messages,
        elapsed,
        server_cpu: cpu.server(),
        own_cpu: cpu.own(),
        latency_p50: latency.value_at_quantile(0.5),
        latency_p99: latency.value_at_quantile(0.99),
        sent: traffic.sent - traffic_before.sent,
        received: traffic.received - traffic_before.received,
    })
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "messages={} elapsed_ns={} server_cpu_ns={} own_cpu_ns={} p50_ns={} p99_ns={} \
             sent_bytes={} received_bytes={}",
            self.messages,
            self.elapsed.as_nanos(),
            self.server_cpu.as_nanos(),
            self.own_cpu.as_nanos(),
            self.latency_p50,
            self.latency_p99,
            self.sent,
            self.received
        )
    }
}
