//! `cargo xtask setup`.

use anyhow::Result;

use crate::packages;

pub(super) fn setup() -> Result<()> {
    packages::install_missing()?;
    println!("Everything that building and testing need is installed.");
    Ok(())
}
