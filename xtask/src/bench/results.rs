//! What the first experiment has shown: as many messages as a server takes, in several rounds.

use std::path::Path;

use anyhow::Result;

use super::chart::{Chart, Group};
use super::compression::Compression;
use super::field::Contender;
use super::numbers::{median, rounded};
use super::shape::Shape;
use super::table::Table;
use super::values::Values;

/// One run of the generator against one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Nanoseconds of the server's CPU time for each message.
    cpu: f64,
    /// Messages in each second.
    rate: f64,
    /// Microseconds from sending a message to having its echo.
    p50: f64,
    p99: f64,
    /// The part of the time in which the server's core was at work.
    busy: f64,
    /// The part of the time in which the load generator was.
    load_busy: f64,
    /// Bytes of frames to the server, for each message.
    sent: f64,
    /// From the server.
    received: f64,
}

impl Run {
    /// # Errors
    /// The generator has not said it all.
    pub(crate) fn new(values: &Values) -> Result<Self> {
        let (messages, elapsed) = (values.number("messages")?, values.number("elapsed_ns")?);
        let server_cpu = values.number("server_cpu_ns")?;
        Ok(Self {
            cpu: server_cpu / messages,
            rate: messages / elapsed * 1e9,
            p50: values.number("p50_ns")? / 1e3,
            p99: values.number("p99_ns")? / 1e3,
            busy: server_cpu / elapsed,
            load_busy: values.number("own_cpu_ns")? / elapsed,
            sent: values.number("sent_bytes")? / messages,
            received: values.number("received_bytes")? / messages,
        })
    }
}

/// All runs of all rounds.
#[derive(Debug)]
pub(crate) struct Results {
    shapes: Vec<Shape>,
    contenders: Vec<&'static str>,
    /// By contender.
    compression: Vec<Option<Compression>>,
    /// By shape, by contender, by round.
    runs: Vec<Vec<Vec<Run>>>,
}

impl Results {
    pub(crate) fn new(shapes: &[Shape], contenders: &[Contender]) -> Self {
        Self {
            shapes: shapes.to_vec(),
            runs: vec![vec![Vec::new(); contenders.len()]; shapes.len()],
            contenders: contenders.iter().map(|contender| contender.name).collect(),
            compression: contenders
                .iter()
                .map(|contender| contender.compression)
                .collect(),
        }
    }

    /// Adds the next round's run. Shapes and contenders are numbered as given at the beginning.
    pub(crate) fn push(&mut self, shape: usize, contender: usize, run: Run) {
        self.runs[shape][contender].push(run);
    }

    /// The tables, and a sentence about how far they can be trusted.
    pub(crate) fn tables(&self) -> String {
        let rounds = self.all_runs().map(Vec::len).max().unwrap_or(0);
        [
            self.table(
                &format!("Server CPU time per message, ns (median of {rounds} rounds)"),
                |runs| rounded(median_of(runs, |run| run.cpu)),
            )
            .to_string(),
            self.ratios().to_string(),
            self.table("Messages per second", |runs| {
                rounded(median_of(runs, |run| run.rate))
            })
            .to_string(),
            self.table("Latency, µs: p50 / p99", |runs| {
                let p50 = rounded(median_of(runs, |run| run.p50));
                format!("{p50} / {}", rounded(median_of(runs, |run| run.p99)))
            })
            .to_string(),
            self.table(
                "Part of the time the server ran (well below 100 %: the core was not free)",
                |runs| format!("{:.0} %", 100.0 * median_of(runs, |run| run.busy)),
            )
            .to_string(),
            self.confidence(),
        ]
        .join("\n")
    }

    /// A table for each shape, a row for each server: the same with and without compression.
    pub(crate) fn compression_tables(&self) -> String {
        let mut tables: Vec<String> = self
            .shapes
            .iter()
            .zip(&self.runs)
            .map(|(shape, contenders)| self.compression_table(*shape, contenders).to_string())
            .collect();
        tables.push(self.confidence());
        tables.join("\n")
    }

    fn compression_table(&self, shape: Shape, contenders: &[Vec<Run>]) -> Table {
        let rounds = contenders.iter().map(Vec::len).max().unwrap_or(0);
        let columns = [
            "server, compression",
            "server CPU, ns",
            "of mod_websocket's",
            "messages per s",
            "p50 / p99, µs",
            "bytes to / from server",
            "busy: server / load",
        ];
        let mut table = Table::new(
            format!("{shape}, each message (median of {rounds} rounds)"),
            columns.map(str::to_owned).to_vec(),
        );
        let servers = self.contenders.iter().zip(&self.compression);
        for ((name, &compression), runs) in servers.zip(contenders) {
            // The first with the same compression is mod_websocket.
            let first = self
                .compression
                .iter()
                .position(|&other| other == compression);
            let ours = first.and_then(|index| contenders.get(index));
            let how = compression.map(|compression| format!(", {compression}"));
            let of = |value: fn(&Run) -> f64| rounded(median_of(runs, value));
            table.push(vec![
                format!("{name}{}", how.unwrap_or_default()),
                of(|run| run.cpu),
                ours.map_or_else(String::new, |ours| ratio(runs, ours)),
                of(|run| run.rate),
                format!("{} / {}", of(|run| run.p50), of(|run| run.p99)),
                format!("{} / {}", of(|run| run.sent), of(|run| run.received)),
                format!(
                    "{:.0} % / {:.0} %",
                    100.0 * median_of(runs, |run| run.busy),
                    100.0 * median_of(runs, |run| run.load_busy)
                ),
            ]);
        }
        table
    }

    /// Writes the CPU time as a bar chart.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn draw(&self, title: &str, file: &Path) -> Result<()> {
        let group = |(shape, contenders): (&Shape, &Vec<Vec<Run>>)| Group {
            name: shape.to_string(),
            values: contenders
                .iter()
                .map(|runs| Some(median_of(runs, |run| run.cpu)))
                .collect(),
        };
        let chart = Chart {
            title: title.to_owned(),
            axis: "server CPU time per message in ns, logarithmic; less is better".to_owned(),
            series: self
                .contenders
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            groups: self.shapes.iter().zip(&self.runs).map(group).collect(),
        };
        chart.write(file)
    }

    fn all_runs(&self) -> impl Iterator<Item = &Vec<Run>> {
        self.runs.iter().flatten()
    }

    fn table(&self, title: &str, cell: impl Fn(&[Run]) -> String) -> Table {
        let names = self.contenders.iter().map(|&name| name.to_owned());
        let mut table = Table::new(title, [SHAPE.to_owned()].into_iter().chain(names).collect());
        for (shape, contenders) in self.shapes.iter().zip(&self.runs) {
            let cells = contenders.iter().map(|runs| cell(runs));
            table.push([shape.to_string()].into_iter().chain(cells).collect());
        }
        table
    }

    /// The first contender's CPU time divided by each other's: of runs that followed each other,
    /// so that what disturbs the machine for a while disturbs both.
    fn ratios(&self) -> Table {
        let first = self.contenders.first().copied().unwrap_or_default();
        let others = self.contenders.iter().skip(1).map(|&name| name.to_owned());
        let mut table = Table::new(
            format!(
                "CPU time of {first} as a multiple of the others' (below 1: {first} is cheaper)"
            ),
            [SHAPE.to_owned()].into_iter().chain(others).collect(),
        );
        for (shape, contenders) in self.shapes.iter().zip(&self.runs) {
            let Some((first, others)) = contenders.split_first() else {
                continue;
            };
            table.push(
                [shape.to_string()]
                    .into_iter()
                    .chain(others.iter().map(|other| ratio(first, other)))
                    .collect(),
            );
        }
        table
    }

    fn confidence(&self) -> String {
        let deviations = self.all_runs().flat_map(|runs| {
            let middle = median_of(runs, |run| run.cpu);
            runs.iter().map(move |run| (run.cpu / middle - 1.0).abs())
        });
        format!(
            "Half of all runs are within {:.1} % of the CPU time given above.\n",
            100.0 * median(deviations.collect())
        )
    }
}

const SHAPE: &str = "connections x payload x in flight";

/// The CPU time of the one server divided by the other's, round by round.
fn ratio(one: &[Run], other: &[Run]) -> String {
    let pairs = one
        .iter()
        .zip(other)
        .map(|(one, other)| one.cpu / other.cpu);
    format!("{:.2}", median(pairs.collect()))
}

fn median_of(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    median(runs.iter().map(value).collect())
}
