//! What the second experiment has shown: many connections that do nothing.

use std::path::Path;

use anyhow::Result;

use super::chart::{Chart, Group};
use super::numbers::{rounded, thousands};
use super::table::Table;
use super::values::Values;

/// What one server made of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// KiB of memory for each connection, when it has been opened.
    opened: f64,
    /// The same when each has echoed a message.
    used: f64,
    /// Connections opened in each second.
    rate: f64,
    /// Microseconds from message to echo on a few connections, with no others and with all.
    alone: [f64; 2],
    among_all: [f64; 2],
}

impl Idle {
    /// # Errors
    /// The generator has not said it all.
    pub(crate) fn new(values: &Values) -> Result<Self> {
        let number = |name| values.number(name);
        Ok(Self {
            opened: number("memory_opened")? / 1024.0,
            used: number("memory_used")? / 1024.0,
            rate: number("connections")? / number("opening_ns")? * 1e9,
            alone: [number("alone_p50_ns")? / 1e3, number("alone_p99_ns")? / 1e3],
            among_all: [
                number("among_all_p50_ns")? / 1e3,
                number("among_all_p99_ns")? / 1e3,
            ],
        })
    }
}

/// Of all servers; those that cannot hold so many connections have none.
#[derive(Debug)]
pub(crate) struct IdleResults {
    pub(crate) count: usize,
    pub(crate) servers: Vec<(&'static str, Option<Idle>)>,
}

/// A figure by its name.
type Kind = (&'static str, fn(&Idle) -> f64);

impl IdleResults {
    pub(crate) fn table(&self) -> Table {
        let title = self.title();
        let columns = [
            "server",
            "KiB each, opened",
            "KiB each, after an echo",
            "opened per s",
            "latency of 10 alone, µs: p50 / p99",
            "of 10 among all",
        ];
        let mut table = Table::new(title, columns.map(String::from).to_vec());
        for (name, idle) in &self.servers {
            let cells = idle.map_or_else(|| ["-"; 5].map(String::from), cells);
            table.push([(*name).to_owned()].into_iter().chain(cells).collect());
        }
        table
    }

    /// Writes two charts, of memory and of latency.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn draw(&self, memory: &Path, latency: &Path) -> Result<()> {
        let title = self.title();
        let memory_kinds: [Kind; 2] = [
            ("opened", |idle| idle.opened),
            ("after an echo", |idle| idle.used),
        ];
        let axis = "server memory (PSS) for each connection in KiB, logarithmic; less is better";
        self.chart(&title, axis, &memory_kinds).write(memory)?;
        let latency_kinds: [Kind; 4] = [
            ("p50 of 10 alone", |idle| idle.alone[0]),
            ("p50 among all", |idle| idle.among_all[0]),
            ("p99 of 10 alone", |idle| idle.alone[1]),
            ("p99 among all", |idle| idle.among_all[1]),
        ];
        let axis = "echo latency in µs, logarithmic; less is better";
        self.chart(&title, axis, &latency_kinds).write(latency)
    }

    fn title(&self) -> String {
        format!("{} idle connections", thousands(&self.count.to_string()))
    }

    fn chart(&self, title: &str, axis: &str, kinds: &[Kind]) -> Chart {
        let group = |&(name, value): &Kind| Group {
            name: name.to_owned(),
            values: self
                .servers
                .iter()
                .map(|(_, idle)| idle.as_ref().map(value))
                .collect(),
        };
        Chart {
            title: title.to_owned(),
            axis: axis.to_owned(),
            series: self
                .servers
                .iter()
                .map(|&(name, _)| name.to_owned())
                .collect(),
            groups: kinds.iter().map(group).collect(),
        }
    }
}

fn cells(idle: Idle) -> [String; 5] {
    let latency = |[p50, p99]: [f64; 2]| format!("{} / {}", rounded(p50), rounded(p99));
    [
        rounded(idle.opened),
        rounded(idle.used),
        rounded(idle.rate),
        latency(idle.alone),
        latency(idle.among_all),
    ]
}
