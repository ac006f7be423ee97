//! What the third experiment has shown: quiet clients beside greedy ones.

use anyhow::Result;

use super::numbers::rounded;
use super::table::Table;
use super::values::Values;

/// A load and what the quiet clients have beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// As the generator takes it.
    pub(crate) argument: &'static str,
    /// For people.
    name: &'static str,
}

/// The loads of the table.
pub(crate) const LOADS: [Load; 7] = [
    Load::new("idle:0", "nobody"),
    Load::new("messages:5", "5 that pipeline 1-byte messages"),
    Load::new("messages:10", "10 that pipeline 1-byte messages"),
    Load::new("messages:20", "20 that pipeline 1-byte messages"),
    Load::new("pings:50", "50 that pipeline pings"),
    Load::new("unread-pings:200", "200 that ping and read nothing"),
    Load::new("uploads:100", "100 that send 16 MB and read the echo"),
];

impl Load {
    const fn new(argument: &'static str, name: &'static str) -> Self {
        Self { argument, name }
    }
}

/// What one server made of one load.
#[derive(Clone, Copy, Debug)]
struct Neighbours {
    /// Milliseconds that an echo of a quiet client takes.
    p50: f64,
    p99: f64,
    p999: f64,
    /// The most threads of the server's process, those of the MPM included.
    threads: usize,
}

/// A table with a row for each load and server.
#[derive(Debug, Default)]
pub(crate) struct NeighbourResults(Vec<(&'static str, &'static str, Neighbours)>);

impl NeighbourResults {
    /// # Errors
    /// The generator has not said it all.
    pub(crate) fn push(&mut self, load: Load, server: &'static str, values: &Values) -> Result<()> {
        let milliseconds = |name| Ok::<_, anyhow::Error>(values.number(name)? / 1e6);
        let neighbours = Neighbours {
            p50: milliseconds("p50_ns")?,
            p99: milliseconds("p99_ns")?,
            p999: milliseconds("p999_ns")?,
            threads: values.integer("threads")?,
        };
        self.0.push((load.name, server, neighbours));
        Ok(())
    }

    pub(crate) fn table(&self) -> Table {
        let columns = ["beside", "server", "p50", "p99", "p99.9", "threads"];
        let mut table = Table::new(
            "Echo to 20 clients that send one message in 5 ms each, ms",
            columns.map(str::to_owned).to_vec(),
        );
        for (load, server, neighbours) in &self.0 {
            table.push(vec![
                (*load).to_owned(),
                (*server).to_owned(),
                rounded(neighbours.p50),
                rounded(neighbours.p99),
                rounded(neighbours.p999),
                neighbours.threads.to_string(),
            ]);
        }
        table
    }
}
