//! The running httpd, and the libraries that it has loaded.

use std::fs;
use std::path::Path;

use crate::finding::Finding;

const LIBRARY: &str = "mod_websocket.so";

/// The process whose id this file has, if it runs.
pub(super) fn running(pid_file: &Path) -> Option<u32> {
    let pid = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    Path::new(&format!("/proc/{pid}")).is_dir().then_some(pid)
}

/// Whether the process has the module that the configuration names.
pub(super) fn examine(pid: Option<u32>, is_configured: bool) -> Option<Finding> {
    let Some(pid) = pid else {
        return Path::new("/proc/self/maps")
            .exists()
            .then(|| Finding::wrong("httpd does not run").remedy("Start it: `apachectl start`."));
    };
    // Only root may read this.
    let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else {
        return Some(Finding::good(format!("httpd runs (process {pid})")));
    };
    let restart = "Restart it: `apachectl restart`, or `apachectl graceful` to keep WebSockets \
                   open for a while.";
    let library = maps.lines().find(|line| line.contains(LIBRARY));
    match library {
        None if is_configured => Some(
            Finding::wrong(format!(
                "httpd (process {pid}) runs without the module: it was started before the \
                 configuration named it"
            ))
            .remedy(restart),
        ),
        Some(line) if line.ends_with(" (deleted)") => Some(
            Finding::note(format!(
                "httpd (process {pid}) runs a module whose file has been replaced since"
            ))
            .remedy(restart),
        ),
        Some(_) => Some(Finding::good(format!(
            "httpd runs with the module (process {pid})"
        ))),
        None => Some(Finding::good(format!("httpd runs (process {pid})"))),
    }
}
