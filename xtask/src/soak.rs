//! Checks that each finished connection has left one line in the access log, and nothing else.
//!
//! `cargo xtask soak` and the module's tests use this, each with their own clients.

mod footprint;
mod lines;
mod requests;

use anyhow::{Result, ensure};

pub use self::footprint::Footprint;
pub use self::lines::{Explained, ensure_explained};
pub use self::requests::Requests;
use crate::apache::Version;

/// The name of the module's test with all kinds of clients at once.
pub const MIXED_SOAK: &str =
    "soak: everything at once loses nothing, leaves nothing and logs nothing unexplained";

/// The environment variable that says for how many seconds that test runs.
pub const SOAK_SECONDS: &str = "WEBSOCKET_SOAK_SECONDS";

/// Checks that nothing crashed or panicked, and that all children ended when they were told to,
/// except where the cause is httpd itself.
///
/// # Errors
/// `log` says otherwise. It is an error log from its first line on.
pub fn ensure_healthy(log: &str) -> Result<()> {
    let mut bad = vec!["exit signal", "panic", "AH00546"];
    if !ends_slowly(log) {
        bad.push("still did not exit");
    }
    let lines: Vec<_> = log
        .lines()
        .filter(|line| bad.iter().any(|word| line.contains(word)))
        .collect();
    ensure!(lines.is_empty(), "the error log has {lines:#?}");
    Ok(())
}

/// Whether the httpd of this log may complain about children that end as soon as they can
/// (AH00045).
fn ends_slowly(log: &str) -> bool {
    log.lines()
        .filter(|line| line.contains(":notice]"))
        .find_map(|line| Some((line, Version::in_text(line)?)))
        .is_some_and(|(line, version)| is_slow(line.contains("[mpm_worker:"), version))
}

/// Whether children of this version may take some seconds longer to end than necessary.
#[must_use]
pub fn is_slow(is_worker: bool, version: Version) -> bool {
    version < TELLS_OF_STOP || is_worker && version < WORKER_ENDS_AT_ONCE
}

/// The first version that tells modules when a child stops (hook `child_stopping`).
const TELLS_OF_STOP: Version = Version(2, 4, 49);

/// The first version whose worker MPM waits for its listener only until that has ended. Earlier
/// versions ask `pthread_kill` whether the listener has ended, which since glibc 2.34 does not work
/// for a thread that has not been joined. So children take 5 seconds, with or without connections.
const WORKER_ENDS_AT_ONCE: Version = Version(2, 4, 62);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_may_end_slowly_and_no_others() {
        let log = |mpm, version| {
            format!(
                "[mpm_{mpm}:notice] AH00292: Apache/{version} (Unix) configured -- resuming\n\
                 [core:warn] AH00045: child process 1 still did not exit, sending a SIGTERM\n"
            )
        };
        assert!(ensure_healthy(&log("worker", "2.4.61")).is_ok());
        assert!(ensure_healthy(&log("worker", "2.4.62")).is_err());
        assert!(ensure_healthy(&log("event", "2.4.58")).is_err());
        assert!(ensure_healthy(&log("event", "2.4.48")).is_ok());
        assert!(ensure_healthy(&(log("worker", "2.4.58") + "exit signal")).is_err());
    }
}
