//! The directory that all processes of this httpd share for topics.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Gid, Mode, OFlags, Uid, chownat, fchown, flock};
use rustix::io::Errno;

use crate::httpd::pool::Pool;
use crate::httpd::{mpm, sys};

/// The name of a directory that is removed when httpd stops. The process id of the parent follows.
const PREFIX: &str = "websocket-topics.";

/// The files that the processes have in the directory, besides those of [`LOCKS`].
const FILES: [&str; 2] = ["data.mdb", "lock.mdb"];

/// What the names of the files begin with that the processes lock.
pub(super) const LOCKS: &str = "broker.";

/// As [`LOCKS`], for those of ticks.
pub(super) const TICKS: &str = "tick.";

/// The path of the directory for this start of httpd, which is removed when httpd stops.
pub(super) fn temporary(pool: Pool) -> io::Result<PathBuf> {
    let name = CString::new(format!("{PREFIX}{}", std::process::id()))?;
    // SAFETY: the pool is live, and the path is taken from it.
    let path = unsafe { sys::ap_runtime_dir_relative(pool.as_ptr(), name.as_ptr()) };
    if path.is_null() {
        return Err(io::Error::other("httpd has no DefaultRuntimeDir"));
    }
    // SAFETY: httpd returns a string.
    let path = unsafe { CStr::from_ptr(path) };
    Ok(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

/// Makes a directory that only the user of the children may use. Takes an existing one if it
/// contains nothing but files of topics.
pub(super) fn make(directory: &Path) -> io::Result<File> {
    let named = |error: io::Error| named(directory, &error);
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(named)?,
    }
    // Does not follow a symbolic link, which another user may have put there.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    let opened = File::from(opened.map_err(|error| named(error.into()))?);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(named)? {
        let name = entry.map_err(named)?.file_name();
        if !is_of_topics(&name) {
            let text = format!("it has other files in it, such as {}", name.display());
            return Err(named(io::Error::other(text)));
        }
        files.push(name);
    }
    opened
        .set_permissions(Permissions::from_mode(0o700))
        .map_err(named)?;
    if rustix::process::geteuid().is_root() {
        give_to_children(&opened, &files).map_err(named)?;
    }
    Ok(opened)
}

fn is_of_topics(name: &OsStr) -> bool {
    let is_lock = |start: &&str| name.as_bytes().starts_with(start.as_bytes());
    FILES.iter().any(|file| name == *file) || [LOCKS, TICKS].iter().any(is_lock)
}

fn give_to_children(directory: &File, files: &[OsString]) -> io::Result<()> {
    // SAFETY: httpd has read its configuration, and changes this only when it does so again.
    let (user, group) = unsafe {
        let config = &raw const sys::ap_unixd_config;
        ((*config).user_id, (*config).group_id)
    };
    let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    fchown(directory, user, group)?;
    for file in files {
        match chownat(directory, file, user, group, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            given => given?,
        }
    }
    Ok(())
}

pub(super) fn named(directory: &Path, error: &dyn fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", directory.display()))
}

/// Removes what killed httpds have left: this directory and its siblings, as far as no process has
/// them locked.
pub(super) fn remove_left_over(directory: &Path) {
    let Some(Ok(entries)) = directory.parent().map(fs::read_dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_such = name.to_str().is_some_and(|name| name.starts_with(PREFIX));
        let is_free = || {
            let opened = File::open(entry.path());
            opened
                .is_ok_and(|opened| flock(opened, FlockOperation::NonBlockingLockExclusive).is_ok())
        };
        if is_such && is_free() {
            // If this fails, the next start tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the directory when httpd stops, but not when it restarts.
pub(super) fn remove_at_stop(configuration: Pool, directory: PathBuf) {
    // On a restart httpd increases the generation before it clears the configuration's pool. On a
    // stop it does not.
    let (parent, generation) = (std::process::id(), mpm::generation());
    configuration.before_destroy(move || {
        if std::process::id() == parent && mpm::generation() == generation {
            // Processes that still have files open in it can go on using them.
            let _ = fs::remove_dir_all(&directory);
        }
    });
}
