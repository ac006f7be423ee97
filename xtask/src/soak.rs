//! What connections that come and go must leave behind: a line each in the access log, and nothing
//! else.
//!
//! `cargo xtask soak` and the module's tests hold httpd to that, each with clients of their own.

mod footprint;
mod requests;

use anyhow::{Result, ensure};

pub use self::footprint::Footprint;
pub use self::requests::Requests;

/// Nothing crashed, nothing panicked.
///
/// # Errors
/// Something did, as `log`, an error log, tells.
pub fn ensure_healthy(log: &str) -> Result<()> {
    let bad = ["exit signal", "panic", "AH00546", "still did not exit"];
    let lines: Vec<_> = log
        .lines()
        .filter(|line| bad.iter().any(|word| line.contains(word)))
        .collect();
    ensure!(lines.is_empty(), "the error log has {lines:#?}");
    Ok(())
}
