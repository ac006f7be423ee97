//! How many WebSockets the settings of the MPM allow.

use std::fs;
use std::path::{Path, PathBuf};

use crate::descriptors::Limit;
use crate::directives::directives;
use crate::finding::Finding;

/// The descriptors that the module keeps for requests: these, and two for each thread.
const KEPT: u64 = 64;

/// How many threads a process may have if `ThreadLimit` is not set.
const THREAD_LIMIT: u64 = 64;

/// The sizes of httpd's processes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// `MaxRequestWorkers`.
    workers: u64,
    /// `ServerLimit`: how many processes there may be.
    servers: u64,
    /// How many threads each process has.
    threads: u64,
    /// How many connections a thread allows beside its own. `None` if it is not set.
    factor: Option<u64>,
    is_event: bool,
}

impl Capacity {
    /// As the files say for this MPM, otherwise httpd's defaults.
    pub(super) fn read(files: &[PathBuf], mpm: &str) -> Self {
        let read = |file: &PathBuf| fs::read(file).unwrap_or_default();
        let texts: Vec<_> = files.iter().map(read).collect();
        let texts: Vec<_> = texts.iter().map(|it| String::from_utf8_lossy(it)).collect();
        let last = |name: &str| {
            texts
                .iter()
                .filter_map(|text| value(text, mpm, name))
                .next_back()
        };
        let (workers, servers) = if mpm == "prefork" {
            (256, 256)
        } else {
            (400, 16)
        };
        Self {
            workers: last("MaxRequestWorkers").unwrap_or(workers),
            servers: last("ServerLimit").unwrap_or(servers),
            threads: if mpm == "prefork" {
                1
            } else {
                let most = last("ThreadLimit").unwrap_or(THREAD_LIMIT);
                last("ThreadsPerChild").unwrap_or(25).min(most).max(1)
            },
            factor: last("AsyncRequestWorkerFactor"),
            is_event: mpm == "event",
        }
    }

    /// How many connections each thread allows.
    fn per_thread(&self) -> u64 {
        if self.is_event {
            self.factor.unwrap_or(2).saturating_add(1)
        } else {
            1
        }
    }

    /// How many threads all processes together may have.
    fn places(&self) -> u64 {
        self.servers.saturating_mul(self.threads)
    }

    pub(super) fn finding(&self) -> Finding {
        let (workers, places) = (self.workers, self.places());
        let all = places.min(workers).saturating_mul(self.per_thread());
        let sockets = all - all / 10;
        let text =
            format!("the settings allow about {sockets} WebSockets (MaxRequestWorkers {workers}");
        if places < workers {
            let Self { servers, .. } = self;
            let needed = workers.div_ceil(self.threads);
            return Finding::note(format!(
                "{text}, but ServerLimit {servers} allows only {places} of them)"
            ))
            .remedy(format!(
                "Write `ServerLimit {needed}`, then stop httpd and start it."
            ));
        }
        if !self.is_event {
            return Finding::note(format!("{text})"));
        }
        match self.factor {
            Some(factor) => Finding::good(format!("{text}, AsyncRequestWorkerFactor {factor})")),
            None => Finding::note(format!("{text}, and no AsyncRequestWorkerFactor)")).remedy(
                "For more, write `AsyncRequestWorkerFactor`: \"Many connections\" has a table.",
            ),
        }
    }

    /// Whether a process may open a descriptor for each connection that it may accept.
    pub(super) fn with(&self, limit: &Limit) -> Finding {
        let connections = self.threads.saturating_mul(self.per_thread());
        let needed = connections
            .saturating_add(KEPT)
            .saturating_add(2 * self.threads);
        if limit.files >= needed {
            return Finding::good(format!("{limit}, and needs at most {needed}"));
        }
        Finding::note(format!(
            "{limit}, but accepts up to {connections} connections: handshakes get 503 before that"
        ))
        .remedy(limit.remedy())
    }
}

/// The last value of a directive, without sections for other MPMs.
fn value(text: &str, mpm: &str, name: &str) -> Option<u64> {
    let mut is_other: Vec<bool> = Vec::new();
    let mut found = None;
    for (_, text) in directives(text) {
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let second = words.next().unwrap_or_default();
        if first.eq_ignore_ascii_case("<IfModule") {
            is_other.push(is_for_other(second.trim_end_matches('>'), mpm));
        } else if first.eq_ignore_ascii_case("</IfModule>") {
            is_other.pop();
        } else if first.eq_ignore_ascii_case(name) && !is_other.contains(&true) {
            found = second.parse().ok().or(found);
        }
    }
    found
}

/// Whether a condition names an MPM, and not this one.
fn is_for_other(condition: &str, mpm: &str) -> bool {
    let name = condition
        .strip_prefix("mpm_")
        .and_then(|rest| rest.strip_suffix("_module"))
        .or_else(|| Path::new(condition).file_stem()?.to_str());
    name.is_some_and(|name| name != mpm && ["event", "worker", "prefork"].contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptors::Origin;

    #[test]
    fn values_of_other_mpms_do_not_count() {
        let text = "<IfModule mpm_prefork_module>\nMaxRequestWorkers 1\n</IfModule>\n\
                    <IfModule event.c>\nmaxrequestworkers 150\n</IfModule>\n\
                    <IfModule worker.c>\nMaxRequestWorkers 3\n</IfModule>\n";
        assert_eq!(value(text, "event", "MaxRequestWorkers"), Some(150));
        assert_eq!(value(text, "prefork", "MaxRequestWorkers"), Some(1));
        assert_eq!(value(text, "event", "ThreadsPerChild"), None);
    }

    #[test]
    fn debians_settings_allow_400_and_need_few_files() {
        let capacity = |factor| Capacity {
            workers: 150,
            servers: 16,
            threads: 25,
            factor,
            is_event: true,
        };
        let limit = |files| Limit {
            files,
            origin: Origin::Process(1),
        };
        let said = capacity(None).finding().to_string();
        assert!(
            said.starts_with("note ") && said.contains("about 405 WebSockets"),
            "{said}"
        );
        assert!(
            capacity(None)
                .with(&limit(1024))
                .to_string()
                .starts_with("good ")
        );
        let said = capacity(Some(74)).with(&limit(1024)).to_string();
        assert!(said.contains("accepts up to 1875 connections"), "{said}");
        assert!(
            capacity(Some(74))
                .with(&limit(4096))
                .to_string()
                .starts_with("good ")
        );
    }

    #[test]
    fn more_workers_than_httpd_has_places_for_do_not_count() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("httpd.conf");
        let said = |text: &str, mpm: &str| {
            fs::write(&file, text).unwrap();
            let files = [file.clone()];
            Capacity::read(&files, mpm).finding().to_string()
        };
        let text = "MaxRequestWorkers 1000\nAsyncRequestWorkerFactor 3\n";
        let few = said(text, "event");
        assert!(few.contains("about 1440 WebSockets"), "{few}");
        assert!(few.contains("`ServerLimit 40`"), "{few}");
        let all = said(&format!("{text}ServerLimit 40\n"), "event");
        assert!(all.contains("about 3600 WebSockets"), "{all}");
        let few = said(&format!("{text}ThreadsPerChild 50\n"), "worker");
        assert!(few.contains("allows only 800 of them"), "{few}");
        // Without ThreadLimit these are 64.
        let all = said(&format!("{text}ThreadsPerChild 100\n"), "worker");
        assert!(
            all.contains("about 900 WebSockets (MaxRequestWorkers 1000)"),
            "{all}"
        );
        let few = said("MaxRequestWorkers 300\n", "prefork");
        assert!(few.contains("allows only 256 of them"), "{few}");
    }
}
