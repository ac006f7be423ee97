//! Checks what plugins declare of their metrics. The bytes are those of a plugin, or of its
//! clients, and may be anything.

use crate::abi::{METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, Metric, MetricLabel};
use std::ffi::c_char;
use std::slice;

/// The most bytes of a name of a plugin, a metric or a label.
const LONGEST_NAME: usize = 64;
/// The most bytes of a help text, and of the value of a label. Longer ones are cut.
const LONGEST_TEXT: usize = 128;
/// The most labels of a series.
const MOST_LABELS: usize = 8;
/// The most bounds of a histogram.
const MOST_BOUNDS: usize = 31;

/// Ends of the names that `OpenMetrics` gives to samples. A metric with such a name could have the
/// same samples as another one.
const RESERVED_ENDS: [&str; 8] = [
    "_total", "_created", "_count", "_sum", "_bucket", "_info", "_gcount", "_gsum",
];

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number that grows and shrinks.
    Gauge,
    /// How many values were in which range.
    Histogram,
}

/// A series that a plugin has declared, after the checks.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredMetric {
    /// What it counts.
    pub kind: MetricKind,
    /// The plugin's name in snake case: ASCII letters, digits and underscores.
    pub plugin: String,
    /// The metric's name, of the same characters.
    pub name: String,
    /// What it means, in one line.
    pub help: String,
    /// The bounds of a histogram: positive, finite, ascending.
    pub bounds: Vec<f64>,
    /// The labels, sorted by name, each once. Values have no control characters.
    pub labels: Vec<(String, String)>,
}

impl DeclaredMetric {
    /// Checks what a plugin has declared.
    ///
    /// # Errors
    ///
    /// What is wrong, for the plugin's author, with the name of the metric.
    ///
    /// # Safety
    ///
    /// `metric` points to a struct of `size` bytes, whose texts and arrays are as long as it says.
    /// All of it is valid during the call.
    pub unsafe fn read(metric: *const Metric) -> Result<Self, String> {
        // SAFETY: the caller guarantees `size`, which is read first.
        let metric = unsafe {
            if metric.is_null() || (&raw const (*metric).size).read() < Metric::SIZE {
                return Err("a metric was declared with too small a struct".into());
            }
            &*metric
        };
        // SAFETY: the caller guarantees the texts and arrays.
        let (plugin, name, help, bounds, labels) = unsafe {
            (
                text(metric.plugin, metric.plugin_length),
                text(metric.name, metric.name_length),
                text(metric.help, metric.help_length),
                array(metric.bounds, metric.bound_count, MOST_BOUNDS),
                array(metric.labels, metric.label_count, MOST_LABELS),
            )
        };
        let (plugin, name) = (snake_case(plugin.unwrap_or("")), name.unwrap_or("?"));
        let wrong = |what: String| format!("[{plugin}] the metric {name:?} is refused: {what}");
        let kind = match metric.kind {
            METRIC_COUNTER => MetricKind::Counter,
            METRIC_GAUGE => MetricKind::Gauge,
            METRIC_HISTOGRAM => MetricKind::Histogram,
            other => return Err(wrong(format!("there is no kind {other}"))),
        };
        check_name(&plugin, name).map_err(wrong)?;
        let Some(help) = help.map(one_line).filter(|help| !help.is_empty()) else {
            return Err(wrong("its help text is empty or not UTF-8".into()));
        };
        let bounds = checked_bounds(kind, bounds).map_err(wrong)?;
        let Some(labels) = labels else {
            return Err(wrong(format!("it has more than {MOST_LABELS} labels")));
        };
        // SAFETY: the caller guarantees the texts.
        let labels = unsafe { checked_labels(kind, labels) }.map_err(wrong)?;
        Ok(Self {
            kind,
            name: name.to_owned(),
            plugin,
            help,
            bounds,
            labels,
        })
    }

    /// The name in `OpenMetrics`, without the prefix that all metrics of plugins have.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}_{}", self.plugin, self.name)
    }

    /// How many numbers the series has: see [`Metric::cells`].
    #[must_use]
    pub fn cells(&self) -> usize {
        match self.kind {
            MetricKind::Counter | MetricKind::Gauge => 1,
            MetricKind::Histogram => self.bounds.len() + 2,
        }
    }
}

fn check_name(plugin: &str, name: &str) -> Result<(), String> {
    if plugin.is_empty() || plugin.len() > LONGEST_NAME {
        return Err(format!(
            "the plugin's name has to have 1 to {LONGEST_NAME} bytes"
        ));
    }
    if !is_name(name) {
        return Err(format!(
            "a name has to have 1 to {LONGEST_NAME} ASCII letters, digits and underscores, and begin \
             with a letter"
        ));
    }
    let full = format!("{plugin}_{name}");
    match RESERVED_ENDS.iter().find(|end| full.ends_with(*end)) {
        Some(end) => Err(format!(
            "the name must not end with {end}, which names of samples end with"
        )),
        None => Ok(()),
    }
}

fn checked_bounds(kind: MetricKind, bounds: Option<&[f64]>) -> Result<Vec<f64>, String> {
    if kind != MetricKind::Histogram {
        return Ok(Vec::new());
    }
    let bounds = bounds.filter(|bounds| {
        let are_positive = bounds.iter().all(|bound| bound.is_finite() && *bound > 0.0);
        are_positive && !bounds.is_empty() && bounds.is_sorted_by(|one, next| one < next)
    });
    let bounds = bounds.ok_or_else(|| {
        format!("a histogram has to have 1 to {MOST_BOUNDS} bounds, positive and ascending")
    })?;
    Ok(bounds.to_vec())
}

/// # Safety
///
/// The texts are as long as the labels say, and valid during the call.
unsafe fn checked_labels(
    kind: MetricKind,
    labels: &[MetricLabel],
) -> Result<Vec<(String, String)>, String> {
    let mut checked = Vec::with_capacity(labels.len());
    for label in labels {
        // SAFETY: the caller guarantees the texts.
        let (name, value) = unsafe {
            (
                text(label.name, label.name_length).unwrap_or("?"),
                text(label.value, label.value_length),
            )
        };
        let is_reserved = kind == MetricKind::Histogram && name == "le";
        if !is_name(name) || is_reserved {
            return Err(format!("a label cannot be called {name:?}"));
        }
        let value = value.ok_or_else(|| format!("the value of {name} is not UTF-8"))?;
        checked.push((name.to_owned(), one_line(value)));
    }
    checked.sort_unstable();
    match checked.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("it has two labels called {:?}", pair[0].0)),
        None => Ok(checked),
    }
}

fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(is_good)
}

/// The text without control characters, at most [`LONGEST_TEXT`] bytes of it.
fn one_line(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LONGEST_TEXT)];
    let replaced = |c: char| {
        let breaks_lines = c.is_control() || "\u{2028}\u{2029}".contains(c);
        if breaks_lines { '?' } else { c }
    };
    text.chars().map(replaced).collect()
}

/// A name of a type as a part of a metric's name: `DumbIncrement` becomes `dumb_increment`.
fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (place, letter) in letters.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(place + 1);
        let ends_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_first = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                let ends_capitals = after.is_some_and(char::is_ascii_lowercase);
                ends_word(before) || (before.is_ascii_uppercase() && ends_capitals)
            });
        if is_first {
            snake.push('_');
        }
        let is_good = letter.is_ascii_alphanumeric();
        snake.push(if is_good {
            letter.to_ascii_lowercase()
        } else {
            '_'
        });
    }
    snake
}

/// # Safety
///
/// `text` is null, or has `length` bytes that stay valid for `'a`.
unsafe fn text<'a>(text: *const c_char, length: usize) -> Option<&'a str> {
    // SAFETY: the caller guarantees the bytes.
    let bytes = unsafe { array(text.cast::<u8>(), length, usize::MAX >> 1) }?;
    str::from_utf8(bytes).ok()
}

/// `None`: there are more than `most`, or none although there should be.
///
/// # Safety
///
/// `items` is null, or has `count` items that stay valid for `'a`.
unsafe fn array<'a, T>(items: *const T, count: usize, most: usize) -> Option<&'a [T]> {
    if count == 0 {
        return Some(&[]);
    }
    if count > most || items.is_null() {
        return None;
    }
    // SAFETY: the caller guarantees the items.
    Some(unsafe { slice::from_raw_parts(items, count) })
}
