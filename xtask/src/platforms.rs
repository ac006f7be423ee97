//! Builds plugins for platforms that this machine is not, and runs them as far as that is possible.

mod windows;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;
use xtask::command::{output_of, run};
use xtask::workspace::Workspace;

/// Debian's compiler, whose package `rust-web-src` has the source of the standard library.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const STD_SOURCE: &str = "/usr/lib/rustlib/src/rust/library";

/// A platform for plugins.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    /// 64-bit Windows: an example is built, and echoes under Wine
    WindowsX64,
    /// 32-bit Windows: an example is built, and its export checked
    WindowsX86,
    /// 64-bit ARM: the tests of the plugin crate run under QEMU
    LinuxArm64,
}

impl Platform {
    pub(crate) const ALL: [Self; 3] = [Self::WindowsX64, Self::WindowsX86, Self::LinuxArm64];

    /// The target triple.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::WindowsX64 => "x86_64-pc-windows-gnu",
            Self::WindowsX86 => "i686-pc-windows-gnu",
            Self::LinuxArm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Builds for the platform, and runs what can be run. Returns what was done.
    ///
    /// # Errors
    ///
    /// When a step fails, or a tool is missing.
    pub(crate) fn try_out(self, workspace: &Workspace, toolchain: &Toolchain) -> Result<String> {
        match self {
            Self::WindowsX64 | Self::WindowsX86 => windows::try_out(self, workspace, toolchain),
            Self::LinuxArm64 => run_tests(self, toolchain),
        }
    }
}

/// A cargo that can build for a platform.
pub(crate) struct Toolchain {
    target: &'static str,
    /// The standard library has to be built, too.
    builds_std: bool,
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
    fn cargo(&self, command: &str, folder: &Path) -> Command {
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
            .args(["--target", self.target, "--target-dir"])
            .arg(folder);
        cargo
    }
}

/// The folder for what is built.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("platforms")
}

fn run_tests(platform: Platform, toolchain: &Toolchain) -> Result<String> {
    let folder = folder(&Workspace::find()?);
    run(toolchain
        .cargo("test", &folder)
        .env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER",
            "aarch64-linux-gnu-gcc",
        )
        .env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
            "qemu-aarch64 -L /usr/aarch64-linux-gnu",
        )
        .args(["-p", "websocket-plugin", "--lib"]))?;
    Ok(format!(
        "the tests of websocket-plugin run ({})",
        platform.target()
    ))
}
