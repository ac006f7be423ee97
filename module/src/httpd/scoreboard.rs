//! What the children count, for all children to read.
//!
//! The counters lie in memory that the parent process shares with all its children. The parent
//! keeps it through restarts, so that children that are still ending go on counting where the new
//! ones look.
//!
//! Each child has a slot and a ledger that only its own threads write to, so no cache line goes
//! back and forth between children. Who reads adds up the ledgers of all children. A ledger keeps
//! its totals when its child has ended, and the next child counts on in it: so totals never go
//! down. Only its gauges (what is open now) are cleared. What plugins count lies beside the
//! ledgers, and is treated alike.

mod board;
mod histogram;
mod layout;
mod ledger;
mod metrics;
mod names;
mod report;
mod series;
mod slot;

pub use board::{
    Counted, account, add_total, begin_drain, change_gauge, count, enter, is_draining, leave,
    metric, set_gauge, share,
};
pub use histogram::Distribution;
pub use ledger::{Account, Gauge, Link, Total};
pub use metrics::{
    Declared as DeclaredMetric, Family, Kind as MetricKind, MOST_LABELLED_SERIES, MOST_SERIES,
    Refused as RefusedMetric, Sample, Value,
};
pub use report::{Process, Report, report};
#[cfg(test)]
pub use series::CAUSES;
pub use series::{CODES, Series};
pub use slot::{Kind, Open};
