//! `cargo xtask platforms`.

use anyhow::Result;
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
    packages::install_for_platforms()?;
    for platform in all {
        let toolchain = Toolchain::of(platform)?;
        println!(
            "{}: {}",
            platform.target(),
            platform.try_out(&workspace, &toolchain)?
        );
    }
    Ok(())
}
