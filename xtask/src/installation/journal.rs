//! Remembers how files were before an installation, to restore them if it fails.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xtask::command::run;

use super::Installation;

/// Copies of the files that are about to change.
pub(super) struct Journal<'a> {
    installation: &'a Installation,
    copies: TempDir,
    files: Vec<Before>,
    absent_folders: Vec<PathBuf>,
}

/// A file or link as it was.
struct Before {
    path: PathBuf,
    /// `None` if there was nothing.
    copy: Option<PathBuf>,
}

impl<'a> Journal<'a> {
    /// Copies each of these files that exists, with its owner, mode and time. Links are copied as
    /// links.
    pub(super) fn begin(installation: &'a Installation, paths: Vec<PathBuf>) -> Result<Self> {
        let mut journal = Self {
            installation,
            copies: TempDir::new()?,
            files: Vec::new(),
            absent_folders: Vec::new(),
        };
        for path in paths {
            journal.note_absent_folders(&path);
            let copy = match path.symlink_metadata() {
                Ok(_) => Some(journal.copy(&path)?),
                Err(_) => None,
            };
            journal.files.push(Before { path, copy });
        }
        Ok(journal)
    }

    fn copy(&self, path: &Path) -> Result<PathBuf> {
        let copy = self.copies.path().join(self.files.len().to_string());
        run(self
            .installation
            .command("cp")?
            .arg("-a")
            .arg(path)
            .arg(&copy))?;
        Ok(copy)
    }

    fn note_absent_folders(&mut self, path: &Path) {
        let absent = path.ancestors().skip(1).take_while(|it| !it.exists());
        let new: Vec<_> = absent
            .filter(|it| !self.absent_folders.iter().any(|other| other == it))
            .map(Path::to_owned)
            .collect();
        self.absent_folders.extend(new);
    }

    /// Restores all of them. What fails does not keep the rest from being restored.
    ///
    /// # Errors
    /// A file could not be restored; its copy is kept, and the error says where.
    pub(super) fn roll_back(self) -> Result<()> {
        let mut failed: Vec<_> = self
            .files
            .iter()
            .filter_map(|before| self.restore(before).err())
            .collect();
        // Only the folders that are empty again go; the innermost have the longest paths.
        let mut folders = self.absent_folders;
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.as_os_str().len()));
        for folder in folders.iter().filter(|it| is_empty(it)) {
            let rmdir = self.installation.command("rmdir");
            let removed = rmdir.and_then(|mut rmdir| run(rmdir.arg(folder)));
            failed.extend(removed.err());
        }
        if failed.is_empty() {
            return Ok(());
        }
        let copies = self.copies.keep();
        let failed: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
        Err(anyhow::Error::msg(failed.join("\n"))).with_context(|| {
            format!(
                "not all is restored; the copies are in {}",
                copies.display()
            )
        })
    }

    fn restore(&self, before: &Before) -> Result<()> {
        let Before { path, copy } = before;
        let Some(copy) = copy else {
            if path.symlink_metadata().is_ok() {
                run(self.installation.command("rm")?.arg("-f").arg(path))?;
            }
            return Ok(());
        };
        let new = path.with_added_extension("new");
        if let Some(folder) = path.parent() {
            run(self.installation.command("install")?.arg("-d").arg(folder))?;
        }
        run(self
            .installation
            .command("cp")?
            .arg("-a")
            .arg(copy)
            .arg(&new))?;
        run(self
            .installation
            .command("mv")?
            .arg("-f")
            .arg(&new)
            .arg(path))
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
