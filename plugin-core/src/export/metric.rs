//! Asks the host for the numbers of metrics.

use super::source;
use crate::abi::{
    METRIC_OK, METRIC_UNAVAILABLE, Metric, MetricLabel, MetricServer, WebSocketServer,
};
use std::ffi::c_int;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU64;

/// The numbers of a series, in memory of the host that stays until the process ends. Empty: nothing
/// is counted.
pub(crate) type Cells = &'static [AtomicU64];

/// A series, as a plugin declares it.
#[derive(Clone, Copy)]
pub(crate) struct Declaration<'d> {
    /// `METRIC_*`.
    pub(crate) kind: c_int,
    /// `None`: the plugin of this library that was loaded first.
    pub(crate) plugin: Option<&'d str>,
    pub(crate) name: &'d str,
    pub(crate) help: &'d str,
    pub(crate) bounds: &'d [f64],
}

/// The numbers of a series. `None`: there are none now, but there may be later.
pub(crate) fn cells(declaration: Declaration<'_>, labels: &[(&str, &str)]) -> Option<Cells> {
    source::with_host(|name, server| {
        // SAFETY: `with_host` keeps the table valid during the call.
        unsafe {
            ask(
                server,
                declaration.plugin.unwrap_or(name),
                declaration,
                labels,
            )
        }
    })?
}

/// # Safety
///
/// The table is valid during the call.
unsafe fn ask(
    server: *const WebSocketServer,
    plugin: &str,
    declaration: Declaration<'_>,
    labels: &[(&str, &str)],
) -> Option<Cells> {
    // SAFETY: the caller guarantees the table.
    let Some(table) = (unsafe { MetricServer::current(server) }) else {
        return Some(&[]);
    };
    let Declaration {
        kind,
        name,
        help,
        bounds,
        ..
    } = declaration;
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| MetricLabel {
            name: name.as_ptr().cast(),
            name_length: name.len(),
            value: value.as_ptr().cast(),
            value_length: value.len(),
        })
        .collect();
    let mut metric = Metric {
        size: Metric::SIZE,
        kind,
        plugin: plugin.as_ptr().cast(),
        plugin_length: plugin.len(),
        name: name.as_ptr().cast(),
        name_length: name.len(),
        help: help.as_ptr().cast(),
        help_length: help.len(),
        bounds: bounds.as_ptr(),
        bound_count: bounds.len(),
        labels: labels.as_ptr(),
        label_count: labels.len(),
        cells: ptr::null(),
    };
    // SAFETY: the caller guarantees the table. The struct and its texts are valid during the call.
    match unsafe { (table.metric)(server, &raw mut metric) } {
        METRIC_OK => {
            let is_histogram = kind == crate::abi::METRIC_HISTOGRAM;
            let count = if is_histogram { bounds.len() + 2 } else { 1 };
            // SAFETY: the host has set the pointer to so many numbers, which stay valid until the
            // process ends and change by atomic operations only.
            Some(unsafe { slice::from_raw_parts(metric.cells, count) })
        }
        METRIC_UNAVAILABLE => None,
        _ => Some(&[]),
    }
}
