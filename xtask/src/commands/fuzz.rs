//! `cargo xtask fuzz`.

use anyhow::Result;
use clap::Args;
use xtask::workspace::Workspace;

use crate::fuzz::Fuzzer;
use crate::packages;

#[derive(Args)]
pub(crate) struct Options {
    /// The targets, as in module/fuzz/targets [default: all]
    targets: Vec<String>,
    /// The duration in seconds; all targets run at the same time
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(super) fn fuzz(options: &Options) -> Result<()> {
    packages::install_missing()?;
    Fuzzer::build(&Workspace::find()?, &options.targets)?.run(options.seconds)
}
