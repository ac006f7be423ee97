//! What the configuration says about mod_http2, whose own settings other modules cannot see.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Limits;
use crate::httpd::pool::bytes;
use crate::httpd::{mpm, sys};

/// The threads mod_http2 serves streams with, as the configuration read last has it; 0 before that.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// Reads the configuration. Returns what is to be told if WebSockets are served over HTTP/2, which
/// mod_http2 does not do in processes without threads.
pub fn read_settings() -> Option<String> {
    let mut settings = Settings::default();
    // SAFETY: httpd has read the configuration and keeps its tree until it reads another one.
    if let Some(first) = unsafe { sys::ap_conftree.as_ref() } {
        settings.read(first, false);
    }
    WORKERS.store(
        settings.workers(mpm::threads_per_child()),
        Ordering::Relaxed,
    );
    (settings.serves_websockets() && mpm::is_threaded()).then(describe)
}

/// How many WebSockets over HTTP/2 a child may have open, on how many connections.
pub fn limits() -> Limits {
    Limits::leaving_a_tenth(mpm::threads_per_child(), WORKERS.load(Ordering::Relaxed))
}

fn describe() -> String {
    let Limits {
        connections,
        sockets,
    } = limits();
    format!(
        "H2WebSockets is on: an HTTP/2 connection with a WebSocket holds a thread of the MPM, and each \
         WebSocket on it one of mod_http2. A process serves at most {connections} HTTP/2 connections \
         with WebSockets (ThreadsPerChild {}), and at most {sockets} WebSockets on them (H2MaxWorkers \
         {}); over HTTP/1.1 there is no such limit on the event MPM",
        mpm::threads_per_child(),
        WORKERS.load(Ordering::Relaxed),
    )
}

/// The directives of mod_http2 that matter here.
#[derive(Default)]
struct Settings {
    /// Whether the server that is read serves WebSockets, where it says so.
    websockets: Option<bool>,
    /// Whether a virtual host does.
    some_host_websockets: bool,
    min_workers: Option<usize>,
    max_workers: Option<usize>,
}

impl Settings {
    /// Reads a directive, what stands in it, and those that follow.
    fn read(&mut self, first: &sys::ap_directive_t, in_host: bool) {
        let mut next = Some(first);
        while let Some(directive) = next {
            // SAFETY: httpd's nodes point to C strings, or nowhere, and to nodes, all of which live as
            // long as the tree.
            let (name, arguments, child, following) = unsafe {
                (
                    bytes(directive.directive).unwrap_or_default(),
                    bytes(directive.args).unwrap_or_default(),
                    directive.first_child.as_ref(),
                    directive.next.as_ref(),
                )
            };
            self.note(name, arguments, in_host);
            if let Some(child) = child {
                if name.eq_ignore_ascii_case(b"<VirtualHost") {
                    self.read_host(child);
                } else {
                    self.read(child, in_host);
                }
            }
            next = following;
        }
    }

    fn read_host(&mut self, first: &sys::ap_directive_t) {
        let of_main = self.websockets.take();
        self.read(first, true);
        self.some_host_websockets |= self.websockets == Some(true);
        self.websockets = of_main;
    }

    fn serves_websockets(&self) -> bool {
        self.websockets == Some(true) || self.some_host_websockets
    }

    /// mod_http2 looks only at the main server for the number of its threads.
    fn note(&mut self, name: &[u8], arguments: &[u8], in_host: bool) {
        let value = arguments.trim_ascii();
        let value = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .unwrap_or(value);
        let number = || str::from_utf8(value).ok()?.parse().ok();
        if name.eq_ignore_ascii_case(b"H2WebSockets") {
            self.websockets = Some(value.eq_ignore_ascii_case(b"on"));
        } else if name.eq_ignore_ascii_case(b"H2MinWorkers") && !in_host {
            self.min_workers = number();
        } else if name.eq_ignore_ascii_case(b"H2MaxWorkers") && !in_host {
            self.max_workers = number();
        }
    }

    /// As mod_http2 has it: half as many again as threads serve connections, unless it is told.
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

    fn settings(directives: &[(&str, &str, bool)]) -> Settings {
        let mut settings = Settings::default();
        for (name, arguments, in_host) in directives {
            settings.note(name.as_bytes(), arguments.as_bytes(), *in_host);
        }
        settings
    }

    #[test]
    fn the_last_word_on_websockets_counts() {
        let on = |directives| settings(directives).serves_websockets();
        assert!(on(&[("h2websockets", "\"On\"", false)]));
        assert!(!on(&[
            ("H2WebSockets", "on", false),
            ("H2WebSockets", "off", false)
        ]));
        assert!(!on(&[("H2Push", "on", false)]));
    }

    #[test]
    fn the_number_of_threads_is_that_of_mod_http2() {
        let workers = |directives| settings(directives).workers(25);
        assert_eq!(workers(&[]), 37);
        assert_eq!(workers(&[("H2MinWorkers", "10", false)]), 15);
        assert_eq!(workers(&[("H2MinWorkers", "1", false)]), 4);
        assert_eq!(workers(&[("H2MaxWorkers", "100", false)]), 100);
        assert_eq!(workers(&[("H2MaxWorkers", "100", true)]), 37);
    }
}
