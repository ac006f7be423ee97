//! The account of httpd's children if root starts httpd.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command::output_of;

/// The web server accounts of distributions, then the unprivileged one.
const USERS: [&str; 4] = ["www-data", "apache", "_www", "nobody"];

/// An unprivileged user and its group.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) group: String,
}

impl Account {
    /// The account for the children. `None` if we are not root: httpd then keeps this user.
    pub(super) fn for_children() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let account = USERS.iter().find_map(|user| {
            let group = output_of(Command::new("id").args(["-gn", user])).ok()?;
            Some(Self {
                user: (*user).to_owned(),
                group,
            })
        });
        account
            .map(Some)
            .context("no account for httpd's children: none of www-data, apache, nobody")
    }
}

/// A copy of a folder that every account can read.
#[derive(Debug)]
pub(super) struct ReadableFolder(TempDir);

impl ReadableFolder {
    /// A copy of `folder`, or `None` if every account can read the original. A checkout may be in
    /// root's home, which is usually closed to others.
    pub(super) fn instead_of(folder: &Path) -> Result<Option<Self>> {
        if is_open_to_all(folder) {
            return Ok(None);
        }
        let copy = tempfile::Builder::new()
            .prefix("httpd-pages-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()?;
        copy_files(folder, copy.path())
            .with_context(|| format!("cannot copy {}", folder.display()))?;
        Ok(Some(Self(copy)))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Whether all accounts can enter this folder and its parents. The modes of files are not checked.
fn is_open_to_all(folder: &Path) -> bool {
    const OTHERS_MAY_PASS: u32 = 0o001;
    folder.ancestors().all(|folder| {
        folder
            .metadata()
            .is_ok_and(|metadata| metadata.mode() & OTHERS_MAY_PASS != 0)
    })
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}
