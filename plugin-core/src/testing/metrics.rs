//! The metrics of the plugins that a test has loaded. All hosts of the test's process share them.

use super::{LogLine, UNATTACHED_LOG, lock};
use crate::abi::host::{DeclaredMetric, MetricKind};
use crate::abi::{METRIC_INVALID, METRIC_OK, Metric, WebSocketServer};
use log::Level;
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

/// The full name of a metric, and the labels of a series.
type Key = (String, Vec<(String, String)>);

/// A metric as it was declared first.
type Shape = (MetricKind, Vec<f64>);

static SERIES: Mutex<Option<HashMap<Key, &'static [AtomicU64]>>> = Mutex::new(None);
static SHAPES: Mutex<Option<HashMap<String, Shape>>> = Mutex::new(None);

pub(super) unsafe extern "system" fn metric(
    _: *const WebSocketServer,
    metric: *mut Metric,
) -> c_int {
    // SAFETY: a plugin built with this crate passes a whole struct.
    let declared = unsafe { DeclaredMetric::read(metric) };
    match declared.and_then(find_or_add) {
        Ok(cells) => {
            // SAFETY: as above.
            unsafe { (*metric).cells = cells.as_ptr() };
            METRIC_OK
        }
        Err(text) => {
            let level = Level::Error;
            lock(&UNATTACHED_LOG.0).push(LogLine { level, text });
            METRIC_INVALID
        }
    }
}

fn find_or_add(declared: DeclaredMetric) -> Result<&'static [AtomicU64], String> {
    let (name, count) = (declared.full_name(), declared.cells());
    let shape = (declared.kind, declared.bounds);
    let mut shapes = lock(&SHAPES);
    let known = shapes.get_or_insert_default().entry(name.clone());
    if *known.or_insert_with(|| shape.clone()) != shape {
        let (plugin, own) = (&declared.plugin, &declared.name);
        return Err(format!(
            "[{plugin}] the metric {own:?} is refused: another metric has the name {name:?}"
        ));
    }
    let mut series = lock(&SERIES);
    let series = series.get_or_insert_default();
    let cells = series.entry((name, declared.labels)).or_insert_with(|| {
        // As in httpd, they stay until the process ends.
        (0..count)
            .map(|_| AtomicU64::new(0))
            .collect::<Vec<_>>()
            .leak()
    });
    Ok(cells)
}
