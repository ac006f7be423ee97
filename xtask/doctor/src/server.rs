//! Examines the httpd of this machine, without asking it for anything over the network.

mod capacity;
mod denials;
mod plugins;
mod process;
mod sites;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::process::geteuid;

use self::capacity::Capacity;
use self::process::Process;
use crate::control::{Control, Verdict};
use crate::descriptors::Limit;
use crate::directives;
use crate::finding::Finding;
use crate::url::Url;
pub use denials::examine as examine_denials;

const LOAD: &str = "\
Debian: `a2enmod websocket`, then restart httpd. Elsewhere write
  LoadModule websocket_module modules/mod_websocket.so";

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
    let finding = match control.check() {
        Err(error) => Finding::wrong(format!("{error:#}")),
        Ok(Verdict::Bad(reason)) => rejected(&reason, geteuid().is_root()),
        Ok(Verdict::Good(said)) => match Dumps::ask(control) {
            Ok(dumps) => return accepted(&dumps, url, &said),
            Err(error) => {
                Finding::wrong(format!("httpd does not list its configuration: {error:#}"))
                    .remedy("If that was not httpd itself, name its program: `--apachectl httpd`.")
            }
        },
    };
    Examination {
        findings: vec![finding],
        error_log: None,
    }
}

/// Others than root may not read everything that httpd reads, such as the keys for TLS.
fn rejected(reason: &str, is_root: bool) -> Finding {
    if is_root {
        Finding::wrong(format!("httpd rejects its configuration:\n{reason}"))
            .remedy("Correct the line that it names. `apachectl configtest` asks again.")
    } else {
        Finding::note(format!(
            "httpd rejects its configuration as this user sees it:\n{reason}"
        ))
        .remedy("Run the doctor as root: others may not read everything, such as keys for TLS.")
    }
}

/// What httpd prints about a configuration that it accepts.
struct Dumps {
    settings: String,
    modules: String,
    sites: String,
    files: Vec<PathBuf>,
}

impl Dumps {
    fn ask(control: &Control) -> Result<Self> {
        Ok(Self {
            settings: control.dump("RUN_CFG")?,
            modules: control.dump("MODULES")?,
            sites: control.dump("VHOSTS")?,
            files: control.files()?,
        })
    }
}

/// Examines a configuration that httpd accepts.
fn accepted(dumps: &Dumps, url: Option<&Url>, said: &str) -> Examination {
    let Dumps {
        settings,
        modules,
        sites,
        files,
    } = dumps;
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
    let server_root = setting(settings, "ServerRoot").unwrap_or_default();
    findings.extend(plugins::examine(files, &server_root));
    findings.extend(http2(files));
    findings.extend(url.and_then(|url| sites::examine(sites, url)));
    let process = setting(settings, "PidFile").and_then(|file| Process::of_file(&file));
    findings.extend(process.as_ref().map(|process| process.finding(is_loaded)));
    let capacity = Capacity::read(files, mpm);
    findings.push(capacity.finding());
    let pid = process.and_then(|process| process.id());
    findings.extend(open_files(pid, &server_root).map(|limit| capacity.with(&limit)));
    Examination {
        findings,
        error_log: setting(settings, "Main ErrorLog"),
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
    .remedy(format!(
        "For more than MaxRequestWorkers of them use event (Debian: `a2dismod mpm_{name} && \
         a2enmod mpm_event`; PHP then needs PHP-FPM)."
    ))
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

    #[test]
    fn only_what_root_sees_is_wrong() {
        let said = |is_root| rejected("a.conf: no key", is_root).to_string();
        assert!(said(true).starts_with("WRONG"), "{}", said(true));
        let unsure = said(false);
        assert!(
            unsure.starts_with("note") && unsure.contains("as root"),
            "{unsure}"
        );
    }
}
