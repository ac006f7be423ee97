//! The compiler for a platform.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xtask::command::output_of;
use xtask::workspace::Workspace;

use super::{Platform, folder};

/// Debian's compiler, whose package `rust-web-src` has the source of the standard library.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
pub(super) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
pub(super) const STD_SOURCE: &str = "/usr/lib/rustlib/src/rust/library";

/// A cargo that can build for a platform.
pub(crate) struct Toolchain {
    target: &'static str,
    /// The standard library has to be built, too.
    pub(crate) builds_std: bool,
}

impl Toolchain {
    /// The current toolchain, if it has the standard library for the platform, otherwise Debian's.
    ///
    /// # Errors
    ///
    /// When rustc cannot be run.
    pub(crate) fn of(platform: Platform) -> Result<Self> {
        let target = platform.target();
        let print = ["--print", "target-libdir", "--target", target];
        let libraries = output_of(Command::new("rustc").args(print))?;
        Ok(Self {
            target,
            builds_std: !Path::new(&libraries).is_dir(),
        })
    }

    /// `cargo COMMAND` for the platform, with a target folder of its own.
    pub(super) fn cargo(&self, command: &str, workspace: &Workspace) -> Command {
        let mut cargo = if self.builds_std {
            let mut cargo = Command::new(DEBIAN_CARGO);
            // Building the standard library is a feature of nightly compilers.
            cargo
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .args([command, "-Zbuild-std=std,panic_unwind,test"]);
            cargo
        } else {
            let mut cargo = Command::new("cargo");
            cargo.arg(command);
            cargo
        };
        cargo
            .current_dir(workspace.root())
            .args(["--target", self.target, "--target-dir"])
            .arg(folder(workspace));
        cargo
    }
}
