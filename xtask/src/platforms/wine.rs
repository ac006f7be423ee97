//! Wine, which runs programs of Windows.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use tempfile::TempDir;
use xtask::apache::which;
use xtask::command::output_of;

use super::Platform;

/// A Wine with a Windows of its own in a temporary folder.
pub(super) struct Wine {
    programs: &'static Programs,
    windows: TempDir,
}

/// The programs for one kind of Windows. Debian has none of them on the `PATH`.
struct Programs {
    loader: [&'static str; 2],
    server: [&'static str; 2],
    architecture: &'static str,
}

const FOR_X64: Programs = Programs {
    loader: ["wine64", "/usr/lib/wine/wine64"],
    server: ["wineserver64", "/usr/lib/wine/wineserver64"],
    architecture: "win64",
};

const FOR_X86: Programs = Programs {
    loader: ["wine32", "/usr/lib/wine/wine"],
    server: ["wineserver32", "/usr/lib/wine/wineserver32"],
    architecture: "win32",
};

impl Wine {
    /// The one that runs programs for the platform, if it is installed.
    ///
    /// # Errors
    ///
    /// When no temporary folder can be made.
    pub(super) fn find(platform: Platform) -> Result<Option<Self>> {
        let programs = match platform {
            Platform::WindowsX86 => &FOR_X86,
            _ => &FOR_X64,
        };
        if find(programs.loader).is_none() {
            return Ok(None);
        }
        let windows = TempDir::new()?;
        Ok(Some(Self { programs, windows }))
    }

    /// Runs a program in `folder`, and returns what it says.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub(super) fn run(&self, words: &[&str], folder: &Path) -> Result<String> {
        let mut wine = self.command(self.programs.loader);
        output_of(wine.args(words).current_dir(folder))
    }

    fn command(&self, names: [&str; 2]) -> Command {
        let program = find(names).unwrap_or_else(|| names[0].into());
        let mut command = Command::new(program);
        command
            .env("WINEARCH", self.programs.architecture)
            .env("WINEDEBUG", "-all")
            .env("WINEPREFIX", self.windows.path())
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Wine {
    /// Ends the services that Wine has started: they write to the folder until they have ended.
    fn drop(&mut self) {
        for option in ["--kill", "--wait"] {
            let mut server = self.command(self.programs.server);
            // There is none if nothing was run.
            let _ = server.arg(option).stderr(Stdio::null()).status();
        }
    }
}

fn find(names: [&str; 2]) -> Option<PathBuf> {
    names.into_iter().find_map(|name| {
        let path = Path::new(name);
        if path.is_absolute() {
            path.is_file().then(|| path.to_owned())
        } else {
            which(name)
        }
    })
}
