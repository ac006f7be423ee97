//! Metrics of a plugin: what it counts for those who watch httpd.

mod histogram;
mod series;

pub use histogram::{Histogram, HistogramSeries};
pub use series::{CounterSeries, GaugeSeries};

use crate::abi::{METRIC_COUNTER, METRIC_GAUGE};
use crate::export::{self, Cells, Declaration, Exported};
use std::ffi::c_int;
use std::fmt;
use std::sync::OnceLock;

/// A metric, and the numbers of its series without labels.
struct Declared {
    declaration: Declaration<'static>,
    /// `None`: not known yet.
    cells: OnceLock<Cells>,
}

impl Declared {
    const fn new(
        kind: c_int,
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
    ) -> Self {
        Self {
            declaration: Declaration {
                kind,
                plugin: None,
                name,
                help,
                bounds,
            },
            cells: OnceLock::new(),
        }
    }

    /// The numbers of the series without labels.
    #[inline]
    fn cells(&self) -> Cells {
        match self.cells.get() {
            Some(cells) => cells,
            None => self.ask(),
        }
    }

    #[cold]
    fn ask(&self) -> Cells {
        // The parent process of httpd has no numbers. Its children, which inherit this, do.
        match export::cells(self.declaration, &[]) {
            Some(cells) => self.cells.get_or_init(|| cells),
            None => &[],
        }
    }

    fn with(&self, labels: &[(&str, &str)]) -> Cells {
        export::cells(self.declaration, labels).unwrap_or(&[])
    }
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.declaration.name)
    }
}

/// A metric that only grows, such as the number of moves in all games.
///
/// It is a `static`, and is shown under the name of the plugin on the status page and in
/// `OpenMetrics` (`SetHandler websocket-status`), as the sum over all processes of httpd:
///
/// ```
/// use websocket_plugin::{Close, Counter, Message, Plugin, Sender, websocket_plugin};
///
/// /// `websocket_plugin_game_moves_total` in OpenMetrics
/// static MOVES: Counter = Counter::new("moves", "Moves that were made");
///
/// #[derive(Default)]
/// struct Game;
///
/// #[websocket_plugin]
/// impl Plugin for Game {
///     fn on_message(&self, _: &mut (), _: &Sender, message: Message<'_>) -> Result<(), Close> {
///         MOVES.inc();
///         MOVES.with(&[("kind", message.as_text().unwrap_or("binary"))]).inc();
///         Ok(())
///     }
/// }
/// # use websocket_plugin::testing::{Host, Request};
/// # let host = Host::load::<Game>();
/// # host.connect(Request::new()).unwrap().send("castle");
/// # assert_eq!(MOVES.value(), 1);
/// # assert_eq!(MOVES.with(&[("kind", "castle")]).value(), 1);
/// ```
///
/// # Names
///
/// The name of a metric begins with a letter and has ASCII letters, digits and underscores, at most
/// 64. It must not end as the names of samples do: `_total` is added to that of a counter. The name
/// of the plugin is that of its type in snake case. If the library has several plugins, say with
/// [`of`](Self::of) which one the metric belongs to. A metric with a bad name, or one that another
/// metric has, counts nothing, and httpd's error log says why.
///
/// # Series
///
/// Each combination of [labels](Self::with) is a series of its own. httpd has room for 1000 series
/// of all plugins together, because clients often choose the values of labels; 200 of them are kept
/// for series without labels, and for the first one of each other metric. Further ones count
/// nothing, and httpd's error log says so once. A series stays until httpd stops.
///
/// # When it counts
///
/// Counters count on when a process of httpd ends, and through all restarts. They begin with 0 when
/// httpd is stopped and started. Nothing is counted in httpd's parent process, where
/// [`configure`](crate::Plugin::configure) runs, under the C module, and under older versions of
/// `mod_websocket`.
#[derive(Debug)]
pub struct Counter(Declared);

impl Counter {
    /// A counter with this name. `help` says in a sentence what it counts, in at most 128 bytes.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self(Declared::new(METRIC_COUNTER, name, help, &[]))
    }

    /// Shows the metric under the name of this plugin.
    #[must_use]
    pub const fn of<P: Exported>(mut self) -> Self {
        self.0.declaration.plugin = Some(P::NAME);
        self
    }

    /// The series with these labels. To find it takes a fraction of a microsecond, so keep it where
    /// it is used often, for example in the state of a connection.
    ///
    /// Of a label's value, the first 128 bytes count. Control characters become question marks.
    /// There are at most 8 labels.
    #[must_use]
    pub fn with(&self, labels: &[(&str, &str)]) -> CounterSeries {
        CounterSeries(self.0.with(labels))
    }

    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds a number. This is one atomic addition in memory that all processes of httpd share, but
    /// only this one writes to.
    #[inline]
    pub fn add(&self, more: u64) {
        CounterSeries(self.0.cells()).add(more);
    }

    /// What was added in this process, and in processes that have ended and whose place this one
    /// has. For tests.
    #[must_use]
    pub fn value(&self) -> u64 {
        CounterSeries(self.0.cells()).value()
    }
}

/// A metric that grows and shrinks, such as the number of players.
///
/// Each process of httpd has a value of its own, and the sum of all is shown. The value of a
/// process is forgotten when the process ends. Otherwise it is like a [`Counter`].
///
/// ```
/// use websocket_plugin::Gauge;
///
/// static PLAYERS: Gauge = Gauge::new("players", "Players in all rooms");
///
/// fn enter() {
///     PLAYERS.inc();
/// }
///
/// fn leave() {
///     PLAYERS.dec();
/// }
/// ```
#[derive(Debug)]
pub struct Gauge(Declared);

impl Gauge {
    /// See [`Counter::new`].
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self(Declared::new(METRIC_GAUGE, name, help, &[]))
    }

    /// See [`Counter::of`].
    #[must_use]
    pub const fn of<P: Exported>(mut self) -> Self {
        self.0.declaration.plugin = Some(P::NAME);
        self
    }

    /// See [`Counter::with`].
    #[must_use]
    pub fn with(&self, labels: &[(&str, &str)]) -> GaugeSeries {
        GaugeSeries(self.0.with(labels))
    }

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

    /// Adds a number, which may be negative. The cost is that of [`Counter::add`].
    #[inline]
    pub fn add(&self, more: i64) {
        GaugeSeries(self.0.cells()).add(more);
    }

    /// Sets the value of this process.
    #[inline]
    pub fn set(&self, value: i64) {
        GaugeSeries(self.0.cells()).set(value);
    }

    /// The value of this process.
    #[must_use]
    pub fn value(&self) -> i64 {
        GaugeSeries(self.0.cells()).value()
    }
}
