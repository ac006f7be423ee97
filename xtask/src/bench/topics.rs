//! What is measured of topics beside messages for all: many topics, several hosts, memory.

use anyhow::Result;

use super::field::TopicField;
use super::load::Generator;
use super::numbers::{median, rounded};
use super::shape::Shape;
use super::table::Table;
use super::values::Values;

/// Clients whose numbers differ by a multiple of this take the same topics: with a thousand clients
/// each of a thousand topics has ten takers.
const GROUPS: usize = 100;
const MANY: Shape = Shape::new(1000, 64, 100);

/// Ten clients, half of them at each host. One message at a time shows how long it takes, many
/// show how many there can be.
const ONE_AT_A_TIME: Shape = Shape::new(10, 64, 1);
const MANY_AT_A_TIME: Shape = Shape::new(10, 64, 64);

/// So many connections subscribe.
const SUBSCRIBERS: usize = 1000;

/// The rounds of a row, by column.
type Rounds = Vec<Vec<f64>>;

/// All rounds.
#[derive(Debug, Default)]
pub(crate) struct TopicResults {
    /// Of many topics: nanoseconds of CPU time for each delivery, deliveries in each second.
    many: Rounds,
    /// By broker: messages in each second, microseconds until everybody has one.
    hosts: Vec<(&'static str, Rounds)>,
    /// Bytes of memory for each subscription, once.
    memory: f64,
}

impl TopicResults {
    /// Measures all, so many times.
    ///
    /// # Errors
    /// The generator fails, or has not said it all.
    pub(crate) fn measure(
        generator: &mut Generator<'_>,
        field: &TopicField,
        rounds: usize,
    ) -> Result<Self> {
        let mut results = Self {
            hosts: field
                .hosts()
                .iter()
                .map(|hosts| (hosts.name, Vec::new()))
                .collect(),
            ..Self::default()
        };
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}: topics");
            let many = generator.groups(field.many()?, MANY, GROUPS)?;
            results.many.push(of_many(&many)?);
            for (&hosts, (_, rounds)) in field.hosts().iter().zip(&mut results.hosts) {
                let (one, other) = field.pair(hosts)?;
                let alone = generator.between(one, other, ONE_AT_A_TIME)?;
                let together = generator.between(one, other, MANY_AT_A_TIME)?;
                rounds.push(of_hosts(&alone, &together)?);
            }
        }
        let subscribed = generator.subscriptions(field.on_demand()?, SUBSCRIBERS)?;
        let memory = subscribed.number("memory_bytes")?;
        results.memory = memory / subscribed.number("subscriptions")?;
        Ok(results)
    }

    pub(crate) fn tables(&self) -> String {
        let mut many = Table::new(
            "Topics in one process",
            ["", "server CPU per delivery, ns", "deliveries per s"]
                .map(String::from)
                .to_vec(),
        );
        many.push(row("1,000 topics x 10 takers x 64 B x 100", &self.many));
        let mut hosts = Table::new(
            "Between two hosts, 64 B to 5 clients on each",
            [
                "broker",
                "messages per s, 64 at a time",
                "p50, µs, one at a time",
                "p99, µs",
            ]
            .map(String::from)
            .to_vec(),
        );
        for (name, rounds) in &self.hosts {
            hosts.push(row(name, rounds));
        }
        format!(
            "{many}\n{hosts}\nA subscription takes {} bytes (PSS of the process, 1,000 connections with 100 \
             of 1,000 topics each).\n",
            rounded(self.memory)
        )
    }
}

fn of_many(values: &Values) -> Result<Vec<f64>> {
    let deliveries = values.number("deliveries")?;
    Ok(vec![
        values.number("server_cpu_ns")? / deliveries,
        deliveries / values.number("elapsed_ns")? * 1e9,
    ])
}

fn of_hosts(alone: &Values, together: &Values) -> Result<Vec<f64>> {
    // Each message comes to ten clients.
    let messages = together.number("deliveries")? / 10.0;
    Ok(vec![
        messages / together.number("elapsed_ns")? * 1e9,
        alone.number("p50_ns")? / 1e3,
        alone.number("p99_ns")? / 1e3,
    ])
}

/// A name, and the median of each column.
fn row(name: &str, rounds: &Rounds) -> Vec<String> {
    let columns = rounds.first().map_or(0, Vec::len);
    let cell = |column: usize| rounded(median(rounds.iter().map(|round| round[column]).collect()));
    [name.to_owned()]
        .into_iter()
        .chain((0..columns).map(cell))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{TopicResults, Values, of_hosts, of_many};

    #[test]
    fn medians_of_all_rounds_are_shown() {
        let values = |text: &str| Values::new(text.to_owned());
        let many = |cpu: u64| {
            let line = format!("deliveries=10 elapsed_ns=1000 server_cpu_ns={cpu}");
            of_many(&values(&line)).unwrap()
        };
        let alone = values("p50_ns=300000 p99_ns=900000");
        let together = values("deliveries=100 elapsed_ns=1000000000");
        let results = TopicResults {
            many: vec![many(100), many(500), many(300)],
            hosts: vec![("Redis", vec![of_hosts(&alone, &together).unwrap()])],
            memory: 150.0,
        };
        let tables: Vec<_> = results
            .tables()
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for row in [
            "| 1,000 topics x 10 takers x 64 B x 100 | 30.0 | 10,000,000 |",
            "| Redis | 10.0 | 300 | 900 |",
        ] {
            assert!(tables.iter().any(|line| line == row), "{row}: {tables:?}");
        }
    }
}
