//! What the fifth experiment has shown: every message sent to all.

use std::path::Path;

use anyhow::Result;

use super::chart::{Chart, Group};
use super::field::Contender;
use super::numbers::{median, rounded};
use super::shape::Shape;
use super::table::Table;
use super::values::Values;

/// The server that the others are compared with, if it takes part.
pub(crate) const FLOOR: &str = "floor";

const SHAPE: &str = "sockets x payload x at a time";

/// One run of the generator against one server. A delivery is a message that one client receives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Nanoseconds of the server's CPU time for each delivery.
    cpu: f64,
    /// Deliveries in each second.
    rate: f64,
    /// How many cores the server kept busy.
    busy: f64,
    /// The part of the time in which the load generator was at work.
    load_busy: f64,
}

impl Run {
    /// # Errors
    /// The generator has not said it all.
    pub(crate) fn new(values: &Values) -> Result<Self> {
        let (deliveries, elapsed) = (values.number("deliveries")?, values.number("elapsed_ns")?);
        let server_cpu = values.number("server_cpu_ns")?;
        Ok(Self {
            cpu: server_cpu / deliveries,
            rate: deliveries / elapsed * 1e9,
            busy: server_cpu / elapsed,
            load_busy: values.number("own_cpu_ns")? / elapsed,
        })
    }
}

/// All runs of all rounds.
#[derive(Debug)]
pub(crate) struct FanoutResults {
    shapes: Vec<Shape>,
    contenders: Vec<&'static str>,
    /// For each contender the one it is compared with, if that takes part.
    counterparts: Vec<Option<usize>>,
    /// By shape, by contender, by round.
    runs: Vec<Vec<Vec<Run>>>,
}

impl FanoutResults {
    pub(crate) fn new(shapes: &[Shape], contenders: &[Contender]) -> Self {
        let names: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
        let place = |name| names.iter().position(|&other| other == name);
        Self {
            shapes: shapes.to_vec(),
            runs: vec![vec![Vec::new(); contenders.len()]; shapes.len()],
            counterparts: contenders
                .iter()
                .map(|contender| contender.counterpart.and_then(place))
                .collect(),
            contenders: names,
        }
    }

    /// Adds the next round's run. Shapes and contenders are numbered as given at the beginning.
    pub(crate) fn push(&mut self, shape: usize, contender: usize, run: Run) {
        self.runs[shape][contender].push(run);
    }

    /// The tables, and a sentence about how far they can be trusted.
    pub(crate) fn tables(&self) -> String {
        let rounds = self.all_runs().map(Vec::len).max().unwrap_or(0);
        let mut tables = vec![self.table(
            &format!("Server CPU time per delivery, ns (median of {rounds} rounds)"),
            |runs| rounded(median_of(runs, |run| run.cpu)),
        )];
        tables.extend(self.of_the_floor());
        tables.extend(self.of_the_counterparts());
        tables.push(self.table("Deliveries per second", |runs| {
            rounded(median_of(runs, |run| run.rate))
        }));
        let busy = "Part of the time they ran: server / load generator";
        tables.push(self.table(busy, |runs| {
            let percent = |value: fn(&Run) -> f64| 100.0 * median_of(runs, value);
            let (server, load) = (percent(|run| run.busy), percent(|run| run.load_busy));
            format!("{server:.0} % / {load:.0} %")
        }));
        let tables = tables.iter().map(Table::to_string);
        tables
            .chain([self.confidence()])
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Writes the CPU time as a bar chart.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn draw(&self, title: &str, file: &Path) -> Result<()> {
        let value = |runs: &Vec<Run>| Some(median_of(runs, |run| run.cpu));
        let group = |(shape, contenders): (&Shape, &Vec<Vec<Run>>)| Group {
            name: shape.to_string(),
            values: contenders.iter().map(value).collect(),
        };
        let names = self.contenders.iter();
        let chart = Chart {
            title: title.to_owned(),
            axis: "server CPU time per delivery in ns, logarithmic; less is better".to_owned(),
            series: names.map(|&name| name.to_owned()).collect(),
            groups: self.shapes.iter().zip(&self.runs).map(group).collect(),
        };
        chart.write(file)
    }

    fn all_runs(&self) -> impl Iterator<Item = &Vec<Run>> {
        self.runs.iter().flatten()
    }

    /// A column for each contender.
    fn table(&self, title: &str, cell: impl Fn(&[Run]) -> String) -> Table {
        let columns = self.contenders.iter().enumerate();
        let columns = columns.map(|(place, &name)| (name.to_owned(), place));
        self.table_of(title, columns.collect(), |runs, &place| cell(&runs[place]))
    }

    /// A row for each shape. `cell` gets the runs of all contenders, and what stands beside the
    /// name of the column.
    fn table_of<C>(
        &self,
        title: &str,
        columns: Vec<(String, C)>,
        cell: impl Fn(&[Vec<Run>], &C) -> String,
    ) -> Table {
        let (names, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let names = [SHAPE.to_owned()].into_iter().chain(names);
        let mut table = Table::new(title, names.collect());
        for (shape, runs) in self.shapes.iter().zip(&self.runs) {
            let cells = columns.iter().map(|column| cell(runs, column));
            table.push([shape.to_string()].into_iter().chain(cells).collect());
        }
        table
    }

    fn of_the_floor(&self) -> Option<Table> {
        let floor = self.contenders.iter().position(|&name| name == FLOOR)?;
        let all = self.contenders.iter().enumerate();
        let others = all.filter(|&(place, _)| place != floor);
        let columns = others.map(|(place, &name)| (name.to_owned(), place));
        let title = "CPU time as a multiple of the floor's";
        Some(self.table_of(title, columns.collect(), |runs, &place| {
            ratio(&runs[place], &runs[floor], |run| run.cpu)
        }))
    }

    /// How those fare that have a counterpart among the others.
    fn of_the_counterparts(&self) -> Vec<Table> {
        let places = (0..self.contenders.len()).zip(&self.counterparts);
        let pairs: Vec<_> = places
            .filter_map(|(place, counterpart)| Some((place, (*counterpart)?)))
            .collect();
        let column = |&(one, other): &(usize, usize)| {
            let name = format!("{} / {}", self.contenders[one], self.contenders[other]);
            (name, (one, other))
        };
        let kinds: [Kind; 2] = [
            ("CPU time, one divided by the other", |run| run.cpu),
            ("Wall time, one divided by the other", |run| {
                run.rate.recip()
            }),
        ];
        let table = |(title, value): Kind| {
            let columns = pairs.iter().map(column).collect();
            self.table_of(title, columns, |runs, &(one, other)| {
                ratio(&runs[one], &runs[other], value)
            })
        };
        let kinds = kinds.into_iter().filter(|_| !pairs.is_empty());
        kinds.map(table).collect()
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

/// A figure by its name.
type Kind = (&'static str, fn(&Run) -> f64);

/// Of runs that followed each other, so that what disturbs the machine for a while disturbs both.
fn ratio(one: &[Run], other: &[Run], value: impl Fn(&Run) -> f64) -> String {
    let pairs = one.iter().zip(other);
    let ratios = pairs.map(|(one, other)| value(one) / value(other));
    format!("{:.2}", median(ratios.collect()))
}

fn median_of(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    median(runs.iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(name: &'static str, counterpart: Option<&'static str>) -> Contender {
        Contender {
            name,
            counterpart,
            address: ([127, 0, 0, 1], 80).into(),
            tls: false,
            compression: None,
            pid: 1,
        }
    }

    fn results(contenders: &[Contender]) -> FanoutResults {
        let shapes = ["10x64x1".parse().unwrap()];
        let mut results = FanoutResults::new(&shapes, contenders);
        for place in 0..contenders.len() {
            // The second takes twice the CPU time of the first, and so on.
            let line = format!(
                "deliveries=100 elapsed_ns=1000000 server_cpu_ns={} own_cpu_ns=500000",
                400_000 * (place + 1)
            );
            results.push(0, place, Run::new(&Values::new(line)).unwrap());
        }
        results
    }

    #[test]
    fn servers_are_compared_with_the_floor_and_with_their_counterparts() {
        let tables = results(&[
            contender(FLOOR, None),
            contender("C plugin", None),
            contender("other module", Some("C plugin")),
        ])
        .tables();
        for row in [
            "| 10 x 64 B x 1 | 4,000 | 8,000 | 12,000 |",
            "| 10 x 64 B x 1 | 2.00 | 3.00 |",
            "| 10 x 64 B x 1 | 1.50 |",
            "| 10 x 64 B x 1 | 100,000 | 100,000 | 100,000 |",
            "| 40 % / 50 % | 80 % / 50 % | 120 % / 50 % |",
        ] {
            assert!(
                squeezed(&tables).contains(&squeezed(row)),
                "{row} in {tables}"
            );
        }
    }

    #[test]
    fn without_a_floor_or_counterparts_there_are_no_ratios() {
        let tables = results(&[
            contender("C plugin", None),
            contender("other module", Some("not there")),
        ])
        .tables();
        assert!(
            !tables.contains("multiple") && !tables.contains("divided"),
            "{tables}"
        );
    }

    /// Without the blanks that align columns.
    fn squeezed(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
