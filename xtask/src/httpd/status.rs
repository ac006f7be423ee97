//! httpd's own counters (mod_status).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Httpd;

/// The longest time for httpd's answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The counters of the MPM. A counter that an MPM does not have is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Connections, except the one that asks.
    pub connections: u64,
    /// Threads or processes that serve a request, except the one for this question.
    pub busy_workers: u64,
    /// Children that are stopping.
    pub stopping: u64,
}

impl Status {
    /// The counters of an idle server.
    pub const QUIET: Self = Self {
        connections: 0,
        busy_workers: 0,
        stopping: 0,
    };

    pub(super) fn ask(httpd: &Httpd) -> Result<Self> {
        // The event MPM updates its number of connections when a kept-alive connection times out,
        // and still counts that one (event.c, `listener_thread`).
        request(httpd, "HTTP/1.1\r\nHost: localhost")?;
        let answer = request(httpd, "HTTP/1.0")?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "no status: {answer}");
        Self::parse(&answer)
    }

    fn parse(answer: &str) -> Result<Self> {
        let number = |name: &str| -> Result<Option<u64>> {
            let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
            let value = lines.find_map(|(key, value)| (key == name).then_some(value));
            let number = value.map(|value| value.trim().parse()).transpose();
            number.with_context(|| format!("{name} is not a number"))
        };
        let busy = number("BusyWorkers")?.context("no BusyWorkers")?;
        Ok(Self {
            connections: number("ConnsTotal")?.unwrap_or(0).saturating_sub(1),
            busy_workers: busy.saturating_sub(1),
            stopping: number("Stopping")?.unwrap_or(0),
        })
    }
}

/// Returns everything that httpd sends until it closes the connection.
fn request(httpd: &Httpd, version: &str) -> Result<String> {
    let mut stream = TcpStream::connect(httpd.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /server-status?auto {version}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no status")?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn the_request_for_the_status_is_not_counted() {
        let answer = "HTTP/1.1 200 OK\r\n\r\nBusyWorkers: 3\nStopping: 1\nConnsTotal: 7\n";
        let status = Status {
            connections: 6,
            busy_workers: 2,
            stopping: 1,
        };
        assert_eq!(Status::parse(answer).unwrap(), status);
        assert_eq!(Status::parse("BusyWorkers: 1\n").unwrap(), Status::QUIET);
        assert!(Status::parse("BusyWorkers: many\n").is_err());
    }
}
