//! `cargo xtask test`.

use anyhow::Result;
use clap::Args;
use xtask::command::run;
use xtask::server_root::{Mpm, TEST_MPMS};
use xtask::workspace::Workspace;

use crate::packages;

#[derive(Args)]
pub(crate) struct Options {
    /// Test with this MPM only; may be repeated [default: all three]
    #[arg(long, value_enum)]
    mpm: Vec<Mpm>,
    /// Arguments for `cargo test --workspace`
    #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
    cargo_test_arguments: Vec<String>,
}

pub(super) fn test(options: &Options) -> Result<()> {
    packages::install_missing()?;
    let workspace = Workspace::find()?;
    // The tests have httpd load these; `cargo test` alone does not build all shared libraries.
    run(workspace.cargo().args(["build", "--workspace", "--lib"]))?;

    let mut cargo_test = workspace.cargo();
    cargo_test
        .args(["test", "--workspace"])
        .args(&options.cargo_test_arguments);
    if !options.mpm.is_empty() {
        let names: Vec<_> = options.mpm.iter().map(|mpm| mpm.name()).collect();
        cargo_test.env(TEST_MPMS, names.join(","));
    }
    run(&mut cargo_test)
}
