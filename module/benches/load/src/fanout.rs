//! The fifth experiment: every message goes to all clients, or to those of a group.

mod crowd;

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::opening::Opener;
use crate::server::Server;
use crate::shape::Shape;
use crowd::Crowd;

/// Before measuring begins, the load has run for this part of the time.
const WARM_UP: f64 = 0.2;

/// What one run has shown; prints as `name=value` pairs on one line.
#[derive(Debug)]
pub struct Measurement {
    /// Messages that were received, each counted for every client.
    deliveries: u64,
    elapsed: Duration,
    server_cpu: Duration,
    own_cpu: Duration,
    /// Nanoseconds from sending messages until everybody has all that were sent together.
    p50: u64,
    p99: u64,
}

/// One of the clients sends `shape.in_flight` messages in one piece, and the next when every client
/// has got all of them; for `duration`, or as long as the last of them takes. If there are several
/// groups, a message goes to one of them. The clients connect to all servers of `openers` in turn;
/// the CPU time is that of `server`.
///
/// # Errors
/// A connection cannot be opened or breaks, or a message is wrong, missing or not meant to be.
pub fn fanout(
    openers: &mut [Opener],
    server: Server,
    (shape, groups): (Shape, usize),
    duration: Duration,
) -> Result<Measurement> {
    let mut crowd = Crowd::open(openers, shape, groups)?;
    crowd.run(duration.mul_f64(WARM_UP))?;
    crowd.take_times();

    let server = server.processes()?;
    let (start, cpu_before) = (Instant::now(), server.cpu_time()?);
    let deliveries = crowd.run(duration)?;
    let (elapsed, cpu) = (start.elapsed(), server.cpu_time()? - cpu_before);
    let times = crowd.take_times();
    crowd.close()?;
    Ok(Measurement {
        deliveries,
        elapsed,
        server_cpu: cpu.server(),
        own_cpu: cpu.own(),
        p50: times.value_at_quantile(0.5),
        p99: times.value_at_quantile(0.99),
    })
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "deliveries={} elapsed_ns={} server_cpu_ns={} own_cpu_ns={} p50_ns={} p99_ns={}",
            self.deliveries,
            self.elapsed.as_nanos(),
            self.server_cpu.as_nanos(),
            self.own_cpu.as_nanos(),
            self.p50,
            self.p99
        )
    }
}
