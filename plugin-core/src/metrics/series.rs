//! Series of counters and gauges.

use crate::export::Cells;
use std::sync::atomic::Ordering::Relaxed;

/// A series of a [`Counter`](crate::Counter). It may be copied and kept.
#[derive(Clone, Copy, Debug)]
pub struct CounterSeries(pub(super) Cells);

impl CounterSeries {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// See [`Counter::add`](crate::Counter::add).
    #[inline]
    pub fn add(&self, more: u64) {
        if let [cell] = self.0 {
            cell.fetch_add(more, Relaxed);
        }
    }

    /// See [`Counter::value`](crate::Counter::value).
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.first().map_or(0, |cell| cell.load(Relaxed))
    }
}

/// A series of a [`Gauge`](crate::Gauge). It may be copied and kept.
#[derive(Clone, Copy, Debug)]
pub struct GaugeSeries(pub(super) Cells);

impl GaugeSeries {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Subtracts 1.
    #[inline]
    pub fn dec(&self) {
        self.add(-1);
    }

    /// See [`Gauge::add`](crate::Gauge::add).
    #[inline]
    pub fn add(&self, more: i64) {
        if let [cell] = self.0 {
            cell.fetch_add(more.cast_unsigned(), Relaxed);
        }
    }

    /// Sets the value of this process.
    #[inline]
    pub fn set(&self, value: i64) {
        if let [cell] = self.0 {
            cell.store(value.cast_unsigned(), Relaxed);
        }
    }

    /// The value of this process.
    #[must_use]
    pub fn value(&self) -> i64 {
        let value = self.0.first().map_or(0, |cell| cell.load(Relaxed));
        value.cast_signed()
    }
}
