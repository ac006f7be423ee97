//! The running httpd, and the libraries that it has loaded.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::finding::Finding;

const LIBRARY: &str = "mod_websocket.so";

/// Whether httpd runs, as far as this user may see it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Process {
    Running(u32),
    /// The text says more, if there is more.
    Absent(String),
    /// The text says why.
    Unknown(String),
}

impl Process {
    /// The process whose id this file has. `None` if this system does not tell.
    pub(super) fn of_file(pid_file: &Path) -> Option<Self> {
        let file = pid_file.display();
        if !Path::new("/proc/self/maps").exists() {
            return None;
        }
        let text = match fs::read_to_string(pid_file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Some(Self::Unknown(format!("cannot read {file}: {error}"))),
        };
        let pid = text.trim().parse().ok();
        Some(match pid.and_then(|pid| Some((pid, program(pid)?))) {
            None => Self::Absent(String::new()),
            Some((pid, name)) if is_httpd(&name) => Self::Running(pid),
            Some((pid, name)) => Self::Absent(format!(
                ": process {pid}, which {file} names, is {name} today"
            )),
        })
    }

    /// Its id, if it runs.
    pub(super) fn id(&self) -> Option<u32> {
        match self {
            Self::Running(pid) => Some(*pid),
            Self::Absent(_) | Self::Unknown(_) => None,
        }
    }

    /// Whether the process has the module that the configuration names.
    pub(super) fn finding(&self, is_configured: bool) -> Finding {
        match self {
            Self::Running(pid) => with_module(*pid, is_configured),
            Self::Absent(more) => Finding::wrong(format!("httpd does not run{more}"))
                .remedy("Start it: `apachectl start`."),
            Self::Unknown(reason) => {
                Finding::note(reason).remedy("Run the doctor as root, on the machine of httpd.")
            }
        }
    }
}

/// The name of the program that a process runs. `None` if there is no such process.
fn program(pid: u32) -> Option<String> {
    // Only root and the owner may follow the link; the other name has at most 15 bytes.
    let of_link = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let of_link = of_link.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    of_link.or_else(|| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(name.trim_end().to_owned())
    })
}

/// Distributions call it `httpd`, `apache2`, `httpd-prefork` or `httpd.worker`.
fn is_httpd(name: &str) -> bool {
    name.contains("httpd") || name.contains("apache")
}

fn with_module(pid: u32, is_configured: bool) -> Finding {
    // Only root may read this.
    let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else {
        return Finding::good(format!("httpd runs (process {pid})"));
    };
    let restart = "Restart it: `apachectl restart`, or `apachectl graceful` to keep WebSockets \
                   open for a while.";
    let library = maps.lines().find(|line| line.contains(LIBRARY));
    match library {
        None if is_configured => Finding::wrong(format!(
            "httpd (process {pid}) runs without the module: it was started before the \
             configuration named it"
        ))
        .remedy(restart),
        Some(line) if line.ends_with(" (deleted)") => Finding::note(format!(
            "httpd (process {pid}) runs a module whose file has been replaced since"
        ))
        .remedy(restart),
        Some(_) => Finding::good(format!("httpd runs with the module (process {pid})")),
        None => Finding::good(format!("httpd runs (process {pid})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_got_the_number_of_httpd_is_not_httpd() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("pid");
        let of = |file: &Path| Process::of_file(file).unwrap();
        assert_eq!(of(&file), Process::Absent(String::new()));
        fs::write(&file, format!("{}\n", std::process::id())).unwrap();
        let said = of(&file).finding(true).to_string();
        assert!(
            said.starts_with("WRONG  httpd does not run: process"),
            "{said}"
        );
        assert!(said.contains("is websocket_doctor"), "{said}");
        // A folder cannot be read as a file, as one of others cannot.
        let said = of(folder.path()).finding(true).to_string();
        assert!(said.starts_with("note   cannot read"), "{said}");
    }
}
