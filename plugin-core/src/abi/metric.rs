//! Metrics of plugins: what the module appends to the server table behind messages in
//! parts.

use super::server::has_size;
use super::{PartServer, WebSocketServer};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

/// [`Metric::kind`]: a number that only grows.
pub const METRIC_COUNTER: c_int = 0;
/// [`Metric::kind`]: a number that grows and shrinks.
pub const METRIC_GAUGE: c_int = 1;
/// [`Metric::kind`]: how many values were in which range.
pub const METRIC_HISTOGRAM: c_int = 2;

/// [`DeclareMetric`] has set [`Metric::cells`].
pub const METRIC_OK: c_int = 0;
/// [`DeclareMetric`] has refused the declaration. httpd's error log says what is wrong with it.
pub const METRIC_INVALID: c_int = 1;
/// There are as many series already as httpd has room for.
pub const METRIC_FULL: c_int = 2;
/// This process counts nothing: it is httpd's parent process. Its children do.
pub const METRIC_UNAVAILABLE: c_int = 3;

/// A label of a series. Neither text ends with NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MetricLabel {
    /// `name_length` bytes.
    pub name: *const c_char,
    /// See `name`.
    pub name_length: usize,
    /// `value_length` bytes.
    pub value: *const c_char,
    /// See `value`.
    pub value_length: usize,
}

/// A series of a metric.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Size of the struct in bytes, which its maker sets.
    pub size: c_uint,
    /// `METRIC_COUNTER`, `METRIC_GAUGE` or `METRIC_HISTOGRAM`.
    pub kind: c_int,
    /// The plugin's name: `plugin_length` bytes.
    pub plugin: *const c_char,
    /// See `plugin`.
    pub plugin_length: usize,
    /// The metric's name, without that of the plugin: `name_length` bytes.
    pub name: *const c_char,
    /// See `name`.
    pub name_length: usize,
    /// What the metric means, in a sentence: `help_length` bytes.
    pub help: *const c_char,
    /// See `help`.
    pub help_length: usize,
    /// For a histogram: the upper bounds of the ranges, in ascending order.
    pub bounds: *const f64,
    /// See `bounds`.
    pub bound_count: usize,
    /// The labels of the series.
    pub labels: *const MetricLabel,
    /// See `labels`.
    pub label_count: usize,
    /// Set by the module: the numbers of this process, which change by atomic operations only. They
    /// stay valid until the process ends. A counter and a gauge have one number. A histogram has
    /// the bits of the sum of all values as an `f64`, then the count of each range, and last the
    /// count of what is above all bounds.
    pub cells: *const AtomicU64,
}

impl Metric {
    /// The value of `size`: 104 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "about a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;
}

/// `WS_Metric`: finds or adds a series, and sets `cells`. Returns a `METRIC_*`. Any thread may call
/// it, with any server table.
pub type DeclareMetric = unsafe extern "system" fn(*const WebSocketServer, *mut Metric) -> c_int;

/// The server table with metrics.
///
/// Check `size` before reading a field, with [`current`](Self::current).
#[repr(C)]
pub struct MetricServer {
    /// The fields that older modules have, too.
    pub parts: PartServer,
    /// See [`DeclareMetric`].
    pub metric: DeclareMetric,
}

impl MetricServer {
    /// The value of `size`: 232 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;

    /// The table behind `server`, if its size covers all fields.
    ///
    /// # Safety
    ///
    /// As for [`ExtendedServer::extended`](super::ExtendedServer::extended).
    #[must_use]
    pub unsafe fn current<'a>(server: *const WebSocketServer) -> Option<&'a Self> {
        // SAFETY: the caller guarantees `size`, and so the fields that it covers.
        unsafe { has_size(server, Self::SIZE).then(|| &*server.cast()) }
    }
}

// The offsets that plugins are built with. Moving a field requires a new major version.
const _: () = {
    assert!(offset_of!(MetricServer, metric) == size_of::<PartServer>());
    assert!(size_of::<MetricServer>() == size_of::<PartServer>() + super::WORD);
    assert!(size_of::<Metric>() == super::HEAD + 11 * super::WORD);
};
