//! The sums of what all children have counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::declared::{Declared, Kind};

/// A metric and all its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The plugin's name.
    pub plugin: String,
    /// The metric's name.
    pub name: String,
    /// Both, as `OpenMetrics` joins them.
    pub full_name: String,
    /// What it means.
    pub help: String,
    /// What it counts.
    pub kind: Kind,
    /// The upper bounds of a histogram's ranges.
    pub bounds: Vec<f64>,
    /// Its series.
    pub samples: Vec<Sample>,
}

/// A series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// The sum over all children.
    pub value: Value,
}

/// A sum.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter.
    Counter(u64),
    /// Of a gauge.
    Gauge(i64),
    /// Of a histogram.
    Histogram {
        /// The sum of all values.
        sum: f64,
        /// How many values are in each range, and above all of them.
        counts: Vec<u64>,
    },
}

/// Whether two series can belong to one metric.
pub(super) fn is_same(one: &Declared, other: &Declared) -> bool {
    (one.kind, &one.plugin, &one.bounds) == (other.kind, &other.plugin, &other.bounds)
}

/// Adds a series, or what another record has of the same one. Each row has the cells of a child.
pub(super) fn add<'c>(
    all: &mut Vec<Family>,
    declared: Declared,
    rows: impl Iterator<Item = &'c [AtomicU64]>,
) {
    let value = sum(declared.kind, declared.bounds.len() + 1, rows);
    let full_name = declared.full_name();
    let known = all.iter().position(|family| family.full_name == full_name);
    let known = known.unwrap_or_else(|| {
        all.push(Family {
            plugin: declared.plugin.clone(),
            name: declared.name.clone(),
            full_name,
            help: declared.help,
            kind: declared.kind,
            bounds: declared.bounds.clone(),
            samples: Vec::new(),
        });
        all.len() - 1
    });
    let family = &mut all[known];
    // Two children may have added metrics of the same name at the same time.
    let is_alike = (family.kind, &family.plugin, &family.bounds)
        == (declared.kind, &declared.plugin, &declared.bounds);
    if !is_alike {
        return;
    }
    let samples = &mut family.samples;
    match samples
        .iter_mut()
        .find(|sample| sample.labels == declared.labels)
    {
        Some(sample) => sample.value.add(value),
        None => samples.push(Sample {
            labels: declared.labels,
            value,
        }),
    }
}

fn sum<'c>(kind: Kind, ranges: usize, rows: impl Iterator<Item = &'c [AtomicU64]>) -> Value {
    let mut total = match kind {
        Kind::Counter => Value::Counter(0),
        Kind::Gauge => Value::Gauge(0),
        Kind::Histogram => Value::Histogram {
            sum: 0.0,
            counts: vec![0; ranges],
        },
    };
    for row in rows {
        let read = |place: usize| {
            row.get(place)
                .map_or(0, |cell| cell.load(Ordering::Relaxed))
        };
        total.add(match kind {
            Kind::Counter => Value::Counter(read(0)),
            Kind::Gauge => Value::Gauge(read(0).cast_signed()),
            Kind::Histogram => Value::Histogram {
                sum: f64::from_bits(read(0)),
                counts: (1..=ranges).map(read).collect(),
            },
        });
    }
    total
}

impl Value {
    fn add(&mut self, more: Self) {
        match (self, more) {
            (Self::Counter(sum), Self::Counter(more)) => *sum = sum.wrapping_add(more),
            (Self::Gauge(sum), Self::Gauge(more)) => *sum = sum.wrapping_add(more),
            (
                Self::Histogram { sum, counts },
                Self::Histogram {
                    sum: more,
                    counts: more_counts,
                },
            ) => {
                *sum += more;
                for (count, more) in counts.iter_mut().zip(more_counts) {
                    *count += more;
                }
            }
            // A series has one kind.
            _ => {}
        }
    }
}
