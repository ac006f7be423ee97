//! Builds plugins for platforms that this machine is not, and runs them as far as that is possible.

mod toolchain;
mod windows;
mod wine;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use xtask::command::run;
use xtask::workspace::Workspace;

pub(crate) use self::toolchain::Toolchain;

/// A platform for plugins.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    /// 64-bit Windows: an example is built, and echoes under Wine
    WindowsX64,
    /// 32-bit Windows: an example is built, and echoes if Wine runs 32-bit programs
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
            Self::LinuxArm64 => run_tests(workspace, toolchain),
        }
    }
}

/// The folder for what is built.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("platforms")
}

/// Runs the tests of the crate for plugins under an emulator.
fn run_tests(workspace: &Workspace, toolchain: &Toolchain) -> Result<String> {
    run(toolchain
        .cargo("test", workspace)
        .env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER",
            "aarch64-linux-gnu-gcc",
        )
        .env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
            "qemu-aarch64 -L /usr/aarch64-linux-gnu",
        )
        .args(["-p", "websocket-plugin", "--lib"]))?;
    Ok("the tests of websocket-plugin run".to_owned())
}
