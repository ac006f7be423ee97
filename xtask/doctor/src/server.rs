//! Examines the httpd of this machine, without asking it for anything over the network.

mod capacity;
mod denials;
mod process;
mod sites;

use std::fs;
use std::path::{Path, PathBuf};

use self::capacity::Capacity;
use crate::control::{Control, Verdict};
use crate::descriptors::Limit;
use crate::directives::{self, uses};
use crate::finding::Finding;
use crate::url::Url;
pub use denials::examine as examine_denials;

const LOAD: &str = "\
Debian: `a2enmod websocket`, then restart httpd. Elsewhere write
  LoadModule websocket_module modules/mod_websocket.so";

const LOCATION: &str = "\
Write into the server or a virtual host:
  <Location \"/echo\">
      SetHandler websocket-handler
      WebSocketHandler modules/mod_websocket_echo.so echo_init
  </Location>";

/// What was found, and where the server has its files.
#[derive(Debug, Default)]
pub struct Examination {
    /// What was found.
    pub findings: Vec<Finding>,
    /// The error log of the main server.
    pub error_log: Option<PathBuf>,
}

/// Examines the server that this program controls. `url` is a WebSocket that it should serve.
#[must_use]
pub fn examine(control: &Control, url: Option<&Url>) -> Examination {
    let mut findings = Vec::new();
    match control.check() {
        Err(error) => findings.push(Finding::wrong(format!("{error:#}"))),
        Ok(Verdict::Bad(reason)) => findings.push(
            Finding::wrong(format!("httpd rejects its configuration:\n{reason}"))
                .remedy("Correct the line that it names. `apachectl configtest` asks again."),
        ),
        Ok(Verdict::Good(said)) => return accepted(control, url, &said),
    }
    Examination {
        findings,
        error_log: None,
    }
}

/// Examines a configuration that httpd accepts.
fn accepted(control: &Control, url: Option<&Url>, said: &str) -> Examination {
    let settings = control.dump("RUN_CFG").unwrap_or_default();
    let modules = control.dump("MODULES").unwrap_or_default();
    let is_loaded = modules.contains("websocket_module");
    let mpm = modules
        .split_whitespace()
        .find_map(|word| word.strip_prefix("mpm_")?.strip_suffix("_module"))
        .unwrap_or("unknown");
    let mut findings = vec![about_mpm(mpm)];
    findings.push(if is_loaded {
        Finding::good("the configuration loads the module")
    } else {
        Finding::wrong("the configuration does not load the module").remedy(LOAD)
    });
    findings.extend(mistakes(said));
    let files = control.files().unwrap_or_default();
    findings.extend(plugins(&files));
    findings.extend(http2(&files));
    let sites = control.dump("VHOSTS").unwrap_or_default();
    findings.extend(url.and_then(|url| sites::examine(&sites, url)));
    let pid_file = setting(&settings, "PidFile");
    let pid = pid_file.and_then(|file| process::running(&file));
    findings.extend(process::examine(pid, is_loaded));
    let conf_dir = setting(&settings, "ServerRoot").unwrap_or_default();
    let capacity = Capacity::read(&files, mpm);
    findings.push(capacity.finding());
    findings.extend(open_files(pid, &conf_dir).map(|limit| capacity.with(&limit)));
    Examination {
        findings,
        error_log: setting(&settings, "Main ErrorLog"),
    }
}

/// The path in a line of `DUMP_RUN_CFG`, such as `PidFile: "/run/httpd.pid"`.
fn setting(settings: &str, name: &str) -> Option<PathBuf> {
    let value = settings
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    Some(value.trim().trim_matches('"').into())
}

fn about_mpm(name: &str) -> Finding {
    let needs = match name {
        "event" => return Finding::good("the MPM is event: a WebSocket holds no thread"),
        "prefork" => "holds a process",
        _ => "holds a thread",
    };
    Finding::note(format!(
        "the MPM is {name}: each WebSocket {needs} while it is open"
    ))
    .remedy(
        "For more than MaxRequestWorkers of them use event (Debian: `a2dismod mpm_prefork && \
         a2enmod mpm_event`; PHP then needs PHP-FPM).",
    )
}

/// What the module says of settings without effect, such as a plugin without `SetHandler`.
fn mistakes(said: &str) -> Vec<Finding> {
    let lines = said.lines().filter(|line| line.contains("[websocket:"));
    let mistake = |line: &str| {
        // Without date, level and process.
        let text = line.rsplit("] ").next().unwrap_or(line);
        Finding::wrong(text).remedy("See \"Troubleshooting by log line\".")
    };
    lines.map(mistake).collect()
}

/// The places that name a plugin.
fn plugins(files: &[PathBuf]) -> Vec<Finding> {
    let uses = files.iter().filter_map(|file| uses(file).ok()).flatten();
    let names = |text: &str| {
        let first = text.split_whitespace().next().unwrap_or_default();
        first.eq_ignore_ascii_case("WebSocketHandler")
    };
    let places: Vec<_> = uses
        .filter(|it| names(&it.text))
        .map(|it| Finding::good(format!("{}:{}: {}", it.file.display(), it.line, it.text)))
        .collect();
    if places.is_empty() {
        return vec![Finding::wrong("no plugin serves any path").remedy(LOCATION)];
    }
    places
}

fn http2(files: &[PathBuf]) -> Option<Finding> {
    let says = |name: &str, value: &str| files.iter().any(|file| has_directive(file, name, value));
    if says("H2WebSockets", "on") {
        return Some(Finding::note(
            "H2WebSockets is on: each WebSocket over HTTP/2 holds a thread of mod_http2, and its \
             connection one of the MPM",
        ));
    }
    says("Protocols", "h2").then(|| {
        Finding::note(
            "HTTP/2 is on without H2WebSockets: browsers open an HTTP/1.1 connection for each \
             WebSocket, which is well and holds no thread on the event MPM",
        )
    })
}

fn has_directive(file: &Path, name: &str, value: &str) -> bool {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    directives::directives(&text).iter().any(|(_, text)| {
        let mut words = text.split_whitespace();
        words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(name))
            && words.any(|word| word.eq_ignore_ascii_case(value))
    })
}

fn open_files(pid: Option<u32>, conf_dir: &Path) -> Option<Limit> {
    let of_process = pid.and_then(|pid| Limit::of_process(pid).ok());
    of_process.or_else(|| Limit::at_start(conf_dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_in_what_httpd_prints() {
        let said = "ServerRoot: \"/etc/apache2\"\nMain ErrorLog: \"/var/log/a b.log\"\n\
                    PidFile: \"/run/httpd.pid\"\n";
        assert_eq!(setting(said, "PidFile"), Some("/run/httpd.pid".into()));
        assert_eq!(
            setting(said, "Main ErrorLog"),
            Some("/var/log/a b.log".into())
        );
        assert_eq!(setting(said, "Define"), None);
    }
}
