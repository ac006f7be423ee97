//! `cargo xtask start`, `stop` and `restart`.

use anyhow::Result;
use xtask::apache::Apache;
use xtask::command::run;

use crate::privileges::Privileges;

/// Calls `apachectl` with `action`.
pub(super) fn apachectl(action: &str) -> Result<()> {
    let apachectl = Apache::find()?.apachectl()?;
    run(Privileges::of_this_user()
        .command(&apachectl.to_string_lossy())?
        .arg(action))
}
