//! The metrics of plugins.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use websocket_plugin::abi;
use websocket_plugin::abi::host::{DeclaredMetric, MetricKind};

use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::scoreboard::{self, MOST_LABELLED_SERIES, MOST_SERIES, RefusedMetric};

/// The most lines that a process logs about metrics. The bytes of clients may be in labels, so
/// there could be any number of them.
const MOST_LINES: u32 = 16;

static LINES: AtomicU32 = AtomicU32::new(0);

/// `WS_Metric`.
pub(super) unsafe extern "system" fn metric(
    _: *const abi::WebSocketServer,
    metric: *mut abi::Metric,
) -> c_int {
    guard("a function of WebSocketServer", abi::METRIC_INVALID, || {
        // SAFETY: a plugin passes a struct as large as its `size` says, with texts and arrays as
        // long as it says.
        let declared = match unsafe { DeclaredMetric::read(metric) } {
            Ok(declared) => declared,
            Err(text) => {
                complain(&text);
                return abi::METRIC_INVALID;
            }
        };
        match find_or_add(declared) {
            Ok(cells) => {
                // SAFETY: as above.
                unsafe { (*metric).cells = cells.as_ptr() };
                abi::METRIC_OK
            }
            Err(answer) => answer,
        }
    })
}

fn find_or_add(declared: DeclaredMetric) -> Result<&'static [AtomicU64], c_int> {
    let declared = scoreboard::DeclaredMetric {
        kind: match declared.kind {
            MetricKind::Counter => scoreboard::MetricKind::Counter,
            MetricKind::Gauge => scoreboard::MetricKind::Gauge,
            MetricKind::Histogram => scoreboard::MetricKind::Histogram,
        },
        plugin: declared.plugin,
        name: declared.name,
        help: declared.help,
        bounds: declared.bounds,
        labels: declared.labels,
    };
    scoreboard::metric(&declared).map_err(|refused| {
        let (plugin, name) = (&declared.plugin, &declared.name);
        match refused {
            RefusedMetric::Unavailable => abi::METRIC_UNAVAILABLE,
            RefusedMetric::Full => {
                complain_of_room(plugin, name);
                abi::METRIC_FULL
            }
            RefusedMetric::Labels => {
                complain_of_labels(plugin, name);
                abi::METRIC_FULL
            }
            RefusedMetric::Shared => {
                complain_of_processes();
                abi::METRIC_FULL
            }
            RefusedMetric::Taken => {
                complain(&format!(
                    "[{plugin}] the metric {name:?} is refused: another metric has the name \
                     \"{plugin}_{name}\", maybe since an earlier configuration; it keeps it until \
                     httpd is stopped"
                ));
                abi::METRIC_INVALID
            }
            RefusedMetric::TooLong => {
                complain(&format!(
                    "[{plugin}] a series of the metric {name:?} is refused: its labels are too long"
                ));
                abi::METRIC_INVALID
            }
        }
    })
}

/// Logs a plugin's mistake, unless there were too many already.
fn complain(text: &str) {
    let more = |lines: u32| (lines < MOST_LINES).then_some(lines + 1);
    let order = Ordering::Relaxed;
    if LINES.fetch_update(order, order, more).is_ok() {
        log_server(Level::Error, text);
    }
}

/// Logs once that what is left of the room is not for labels.
fn complain_of_labels(plugin: &str, name: &str) {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        let text = format!(
            "[{plugin}] a series of the metric {name:?} and all further ones with labels are not \
             counted: the plugins have {MOST_LABELLED_SERIES} series, or their histograms too many \
             ranges, since httpd was started; the rest is for other metrics"
        );
        log_server(Level::Warning, &text);
    }
}

/// Logs once that this process counts no gauges.
fn complain_of_processes() {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        let text = "gauges of plugins are not counted in this process: more than 256 processes \
                    have numbers of their own";
        log_server(Level::Warning, text);
    }
}

/// Logs once that there is no room.
fn complain_of_room(plugin: &str, name: &str) {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        let text = format!(
            "[{plugin}] a series of the metric {name:?} and all further ones are not counted: the \
             plugins have {MOST_SERIES} series, or their histograms too many ranges, since httpd \
             was started"
        );
        log_server(Level::Warning, &text);
    }
}
