//! Passes `log` records to httpd's error log, or to stderr if there is no such log.

use super::guard::Scope;
use super::source::write_outside;
use crate::abi::{LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_TRACE, LOG_WARNING};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Makes this library's `log` macros write to httpd's log, unless the plugin has installed a
/// logger.
///
/// It passes on all levels. `LogLevel` may differ by location, so only httpd can decide.
pub(super) fn install() {
    if log::set_logger(&HttpdLog).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

struct HttpdLog;

impl Log for HttpdLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            Level::Error => LOG_ERROR,
            Level::Warn => LOG_WARNING,
            Level::Info => LOG_INFO,
            Level::Debug => LOG_DEBUG,
            Level::Trace => LOG_TRACE,
        };
        // Format before taking a lock, because an argument's `Display` may log, too.
        let text = record.args().to_string();
        Scope::with_current(|scope| match scope {
            Some(scope) => scope.write(level, &text),
            None => write_outside(level, record.target(), &text),
        });
    }

    fn flush(&self) {}
}
