//! The libraries and the program in packages, without symbols and debug information.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::command::run;
use xtask::workspace::{DOCTOR_PROGRAM, Library, MODULE, Workspace};

/// The module, its plugins and the doctor.
pub(crate) struct Built {
    /// The module's library.
    pub(crate) module: PathBuf,
    /// The libraries of the plugins, with their names (`echo`), sorted.
    pub(crate) plugins: Vec<(String, PathBuf)>,
    /// The doctor's program.
    pub(crate) doctor: PathBuf,
    /// Has the files.
    _folder: TempDir,
}

impl Built {
    /// Builds them, with optimization, in a target folder of their own: its paths are not in them.
    ///
    /// # Errors
    /// The build fails, or `strip` is missing.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self> {
        let doctor = workspace.build_doctor_to_ship()?;
        Self::stripped(&workspace.build_libraries_to_ship()?, &doctor)
    }

    /// Takes what Cargo built into `folder`, such as `target/debug`.
    ///
    /// # Errors
    /// A file is missing, or `strip` is missing.
    pub(crate) fn in_folder(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let doctor = folder.join(DOCTOR_PROGRAM);
        ensure!(doctor.is_file(), "no {}", doctor.display());
        Self::stripped(&workspace.libraries_in(folder)?, &doctor)
    }

    fn stripped(libraries: &[Library], doctor: &Path) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut module = None;
        let mut plugins = Vec::new();
        for library in libraries {
            let name = library.source.file_name().context("no folder")?;
            let target = folder.path().join(name).with_added_extension("so");
            strip(&library.path, &target)?;
            if library.source == Path::new(MODULE) {
                module = Some(target);
            } else {
                plugins.push((name.to_string_lossy().into_owned(), target));
            }
        }
        plugins.sort();
        ensure!(!plugins.is_empty(), "no plugins");
        let program = folder.path().join(DOCTOR_PROGRAM);
        strip(doctor, &program)?;
        Ok(Self {
            module: module.context("the module has no library")?,
            plugins,
            doctor: program,
            _folder: folder,
        })
    }
}

fn strip(file: &Path, target: &Path) -> Result<()> {
    run(Command::new("strip")
        .args(["--strip-unneeded", "--remove-section=.comment", "-o"])
        .args([target, file]))
}
