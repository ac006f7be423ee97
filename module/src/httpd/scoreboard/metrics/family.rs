//! The sums of what all children have counted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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

/// Puts together the series of all records, sorted by name and labels. Each row has the cells of a
/// child.
pub(super) fn gather<'c, R>(records: impl Iterator<Item = (Declared, R)>) -> Vec<Family>
where
    R: Iterator<Item = &'c [AtomicU64]>,
{
    let mut all: BTreeMap<_, (Declared, Value)> = BTreeMap::new();
    for (declared, rows) in records {
        let value = sum(declared.kind, declared.bounds.len() + 1, rows);
        match all.entry((declared.full_name(), declared.labels.clone())) {
            Entry::Vacant(place) => _ = place.insert((declared, value)),
            // Two children may have added the series at the same time.
            Entry::Occupied(mut known) if is_same(&known.get().0, &declared) => {
                known.get_mut().1.add(value);
            }
            Entry::Occupied(_) => {}
        }
    }
    let mut families: Vec<Family> = Vec::new();
    for ((full_name, labels), (declared, value)) in all {
        if families
            .last()
            .is_none_or(|last| last.full_name != full_name)
        {
            families.push(Family::new(full_name, &declared));
        }
        let last = families.last_mut().filter(|last| last.has(&declared));
        // Two children may have added metrics of the same name at the same time.
        if let Some(family) = last {
            family.samples.push(Sample { labels, value });
        }
    }
    families
}

impl Family {
    fn new(full_name: String, declared: &Declared) -> Self {
        Self {
            plugin: declared.plugin.clone(),
            name: declared.name.clone(),
            full_name,
            help: declared.help.clone(),
            kind: declared.kind,
            bounds: declared.bounds.clone(),
            samples: Vec::new(),
        }
    }

    /// Whether a series of this name belongs to this metric.
    fn has(&self, declared: &Declared) -> bool {
        (self.kind, &self.plugin, &self.bounds)
            == (declared.kind, &declared.plugin, &declared.bounds)
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
