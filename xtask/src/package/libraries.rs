//! The libraries in packages, without symbols and debug information.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::command::run;
use xtask::workspace::{Library, MODULE, Workspace};

/// The libraries of the module and of its plugins.
pub(crate) struct Libraries {
    /// The module's.
    pub(crate) module: PathBuf,
    /// Those of the plugins, with their names (`echo`), sorted.
    pub(crate) plugins: Vec<(String, PathBuf)>,
    /// Has the files.
    _folder: TempDir,
}

impl Libraries {
    /// Builds them, with optimization, in a target folder of their own: its paths are not in them.
    ///
    /// # Errors
    /// The build fails, or `strip` is missing.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self> {
        Self::stripped(&workspace.build_libraries_to_ship()?)
    }

    /// Takes those that Cargo built into `folder`, such as `target/debug`.
    ///
    /// # Errors
    /// One is missing, or `strip` is missing.
    pub(crate) fn in_folder(workspace: &Workspace, folder: &Path) -> Result<Self> {
        Self::stripped(&workspace.libraries_in(folder)?)
    }

    fn stripped(libraries: &[Library]) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut module = None;
        let mut plugins = Vec::new();
        for library in libraries {
            let name = library.source.file_name().context("no folder")?;
            let target = folder.path().join(name).with_added_extension("so");
            run(Command::new("strip")
                .args(["--strip-unneeded", "--remove-section=.comment", "-o"])
                .arg(&target)
                .arg(&library.path))?;
            if library.source == Path::new(MODULE) {
                module = Some(target);
            } else {
                plugins.push((name.to_string_lossy().into_owned(), target));
            }
        }
        plugins.sort();
        ensure!(!plugins.is_empty(), "no plugins");
        Ok(Self {
            module: module.context("the module has no library")?,
            plugins,
            _folder: folder,
        })
    }
}
