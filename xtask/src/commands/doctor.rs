//! `cargo xtask doctor`.

use std::io::stdout;

use anyhow::{Result, ensure};
pub(crate) use websocket_doctor::options::Options;

/// Prints what the doctor finds out.
pub(super) fn doctor(options: &Options) -> Result<()> {
    let is_well = websocket_doctor::run(options, &mut stdout().lock())?;
    ensure!(is_well, "something is wrong: see above");
    Ok(())
}
