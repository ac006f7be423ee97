//! What plugins say of their metrics.

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that grows and shrinks.
    Gauge,
    /// How many values were in which range.
    Histogram,
}

/// A series, as its plugin declares it. Names have the characters of `OpenMetrics`; labels are
/// sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// What it counts.
    pub kind: Kind,
    /// The plugin's name.
    pub plugin: String,
    /// The metric's name.
    pub name: String,
    /// What it means.
    pub help: String,
    /// The upper bounds of a histogram's ranges.
    pub bounds: Vec<f64>,
    /// Names and values.
    pub labels: Vec<(String, String)>,
}

/// Why a series has no cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The process counts nothing.
    Unavailable,
    /// It is a gauge, and the process has no numbers of its own: there are too many processes.
    Shared,
    /// There are [`MOST_LABELLED_SERIES`](super::MOST_LABELLED_SERIES), or their numbers take too
    /// much room, and the metric has a series already.
    Labels,
    /// There are [`MOST_SERIES`](super::MOST_SERIES), or their numbers take all the room.
    Full,
    /// A metric of another kind, or of another plugin, has the name.
    Taken,
    /// The labels are longer than a record.
    TooLong,
}

impl Declared {
    /// How many cells it takes: those of a histogram are the bits of the sum, the ranges, and what
    /// is above all of them.
    pub(super) fn cells(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram => self.bounds.len() + 2,
        }
    }

    /// The name in `OpenMetrics`, without the prefix of all metrics of plugins.
    pub(super) fn full_name(&self) -> String {
        format!("{}_{}", self.plugin, self.name)
    }
}
