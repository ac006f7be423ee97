//! Reads mod_http2's settings from the configuration, because other modules cannot see them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Limits;
use crate::httpd::lines::{self, Line};
use crate::httpd::mpm;

/// The number of mod_http2's threads in the configuration that was read last. 0 before that.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// Reads the configuration. Returns a warning if WebSockets are served over HTTP/2. mod_http2 does
/// not do that in processes without threads.
pub fn read_settings() -> Option<String> {
    let mut settings = Settings::default();
    for Line {
        name,
        arguments,
        scope,
        ..
    } in &lines::all()
    {
        settings.note(name, arguments, scope.host);
    }
    WORKERS.store(
        settings.workers(mpm::threads_per_child()),
        Ordering::Relaxed,
    );
    (settings.serves_websockets() && mpm::is_threaded()).then(describe)
}

/// How many WebSockets over HTTP/2 a child process may have open, and on how many connections.
pub fn limits() -> Limits {
    Limits::leaving_a_tenth(mpm::threads_per_child(), WORKERS.load(Ordering::Relaxed))
}

fn describe() -> String {
    let Limits {
        connections,
        sockets,
    } = limits();
    format!(
        "H2WebSockets is on: an HTTP/2 connection with a WebSocket holds a thread of the MPM, and \
         each WebSocket on it one of mod_http2. A process serves at most {connections} HTTP/2 \
         connections with WebSockets (ThreadsPerChild {}), and at most {sockets} WebSockets on \
         them (H2MaxWorkers {}); over HTTP/1.1 there is no such limit on the event MPM",
        mpm::threads_per_child(),
        WORKERS.load(Ordering::Relaxed),
    )
}

/// The directives of mod_http2 that matter here.
#[derive(Default)]
struct Settings {
    /// Whether the main server and the virtual hosts serve WebSockets, if they say so.
    websockets: BTreeMap<Option<usize>, bool>,
    min_workers: Option<usize>,
    max_workers: Option<usize>,
}

impl Settings {
    fn serves_websockets(&self) -> bool {
        self.websockets.values().any(|serves| *serves)
    }

    /// Notes a directive of the main server or of a virtual host. `name` is in lower case.
    /// mod_http2 takes the number of its threads only from the main server.
    fn note(&mut self, name: &str, arguments: &str, host: Option<usize>) {
        let value = arguments.trim_ascii();
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        match name {
            "h2websockets" => {
                let is_on = value.eq_ignore_ascii_case("on");
                self.websockets.insert(host, is_on);
            }
            "h2minworkers" if host.is_none() => self.min_workers = value.parse().ok(),
            "h2maxworkers" if host.is_none() => self.max_workers = value.parse().ok(),
            _ => {}
        }
    }

    /// The number of mod_http2's threads: `H2MaxWorkers`, or by default half as many again as
    /// `H2MinWorkers`, and at least 4. The default of `H2MinWorkers` is the number of the MPM's
    /// threads.
    fn workers(&self, threads_per_child: usize) -> usize {
        self.max_workers.unwrap_or_else(|| {
            let least = self.min_workers.unwrap_or(threads_per_child);
            (least.saturating_mul(3) / 2).max(4)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    fn settings(directives: &[(&str, &str, Option<usize>)]) -> Settings {
        let mut settings = Settings::default();
        for (name, arguments, host) in directives {
            settings.note(name, arguments, *host);
        }
        settings
    }

    #[test]
    fn the_last_word_on_websockets_counts() {
        let on = |directives| settings(directives).serves_websockets();
        assert!(on(&[("h2websockets", "\"On\"", None)]));
        assert!(!on(&[
            ("h2websockets", "on", None),
            ("h2websockets", "off", None)
        ]));
        assert!(!on(&[("h2push", "on", None)]));
        assert!(on(&[
            ("h2websockets", "off", None),
            ("h2websockets", "on", Some(1))
        ]));
        assert!(on(&[
            ("h2websockets", "on", None),
            ("h2websockets", "off", Some(1))
        ]));
    }

    #[test]
    fn the_number_of_threads_is_that_of_mod_http2() {
        let workers = |directives| settings(directives).workers(25);
        assert_eq!(workers(&[]), 37);
        assert_eq!(workers(&[("h2minworkers", "10", None)]), 15);
        assert_eq!(workers(&[("h2minworkers", "1", None)]), 4);
        assert_eq!(workers(&[("h2maxworkers", "100", None)]), 100);
        assert_eq!(workers(&[("h2maxworkers", "100", Some(1))]), 37);
    }
}
