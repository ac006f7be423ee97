//! `cargo xtask platforms`.

use anyhow::{Context, Result};
use clap::Args;
use xtask::workspace::Workspace;

use crate::packages;
use crate::platforms::{Platform, Toolchain};

#[derive(Args)]
pub(crate) struct Options {
    /// The platforms to build plugins for [default: all]
    platforms: Vec<Platform>,
}

pub(super) fn platforms(options: &Options) -> Result<()> {
    let workspace = Workspace::find()?;
    let all = if options.platforms.is_empty() {
        Platform::ALL.to_vec()
    } else {
        options.platforms.clone()
    };
    packages::install_missing()?;
    for platform in all {
        let target = platform.target();
        let toolchain = Toolchain::of(platform)?;
        packages::install_for_platform(platform, toolchain.builds_std)?;
        let done = platform.try_out(&workspace, &toolchain).context(target)?;
        println!("{target}: {done}");
    }
    Ok(())
}
