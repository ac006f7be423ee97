//! `cargo xtask start`, `stop` and `restart`.

use anyhow::{Context, Result};
use xtask::apache::{Apache, which};
use xtask::command::run;

use crate::privileges::Privileges;

/// Calls the system's `apachectl` with `action`.
pub(super) fn apachectl(action: &str) -> Result<()> {
    let beside_httpd = Apache::find()?.httpd.with_file_name("apachectl");
    let apachectl = which(beside_httpd)
        .or_else(|| which("apachectl"))
        .context("apachectl not found: `apt-get install apache2` (Debian) or `httpd` elsewhere")?;
    run(Privileges::of_this_user()
        .command(&apachectl.to_string_lossy())?
        .arg(action))
}
