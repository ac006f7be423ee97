//! Histograms.

use super::Declared;
use crate::abi::METRIC_HISTOGRAM;
use crate::export::{Cells, Exported};
use std::sync::atomic::Ordering::Relaxed;

/// A metric of values, such as durations: how many there were, their sum, and how many were in
/// which range. Otherwise it is like a [`Counter`](crate::Counter).
///
/// ```
/// use std::time::Instant;
/// use websocket_plugin::Histogram;
///
/// static ANSWERS: Histogram =
///     Histogram::new("answer_seconds", "How long answers took", Histogram::SECONDS);
///
/// fn answer() {
///     let began = Instant::now();
///     // ...
///     ANSWERS.observe(began.elapsed().as_secs_f64());
/// }
/// ```
#[derive(Debug)]
pub struct Histogram(Declared);

impl Histogram {
    /// Bounds for durations in seconds, from 0.1 milliseconds to 10 seconds.
    pub const SECONDS: &'static [f64] = &[
        0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
        10.0,
    ];

    /// A histogram with this name. `bounds` are the upper bounds of the ranges: 1 to 31 positive
    /// numbers, in ascending order. One more range has what is above the last.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Self {
        Self(Declared::new(METRIC_HISTOGRAM, name, help, bounds))
    }

    /// See [`Counter::of`](crate::Counter::of).
    #[must_use]
    pub const fn of<P: Exported>(mut self) -> Self {
        self.0.declaration.plugin = Some(P::NAME);
        self
    }

    /// See [`Counter::with`](crate::Counter::with). No label can be called `le`.
    #[must_use]
    pub fn with(&self, labels: &[(&str, &str)]) -> HistogramSeries {
        HistogramSeries {
            bounds: self.0.declaration.bounds,
            cells: self.0.with(labels),
        }
    }

    /// Counts a value. Negative values, infinite ones and NaN are ignored. This is two atomic
    /// operations, as for [`Counter::add`](crate::Counter::add).
    #[inline]
    pub fn observe(&self, value: f64) {
        self.whole().observe(value);
    }

    /// How many values were counted in this process, as for
    /// [`Counter::value`](crate::Counter::value).
    #[must_use]
    pub fn count(&self) -> u64 {
        self.whole().count()
    }

    /// The sum of these values.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.whole().sum()
    }

    /// The series without labels.
    #[inline]
    fn whole(&self) -> HistogramSeries {
        HistogramSeries {
            bounds: self.0.declaration.bounds,
            cells: self.0.cells(),
        }
    }
}

/// A series of a [`Histogram`]. It may be copied and kept.
#[derive(Clone, Copy, Debug)]
pub struct HistogramSeries {
    bounds: &'static [f64],
    /// The bits of the sum, then the count of each range. Empty: nothing is counted.
    cells: Cells,
}

impl HistogramSeries {
    /// See [`Histogram::observe`].
    #[inline]
    pub fn observe(&self, value: f64) {
        let [sum, counts @ ..] = self.cells else {
            return;
        };
        if !value.is_finite() || value < 0.0 {
            return;
        }
        let range = self.bounds.iter().position(|bound| value <= *bound);
        if let Some(count) = counts.get(range.unwrap_or(self.bounds.len())) {
            count.fetch_add(1, Relaxed);
        }
        let added = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // It cannot fail, because `added` always has a result.
        let _ = sum.fetch_update(Relaxed, Relaxed, added);
    }

    /// See [`Histogram::count`].
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.cells.iter().skip(1);
        counts.map(|count| count.load(Relaxed)).sum()
    }

    /// See [`Histogram::sum`].
    #[must_use]
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.cells.first().map_or(0, |sum| sum.load(Relaxed)))
    }
}
