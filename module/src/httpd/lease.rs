//! What one process of this httpd does at a time: the one that has locked a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use super::log::{Level, Throttle, log_server};

/// A lock of the process, which the kernel takes away when the process ends, however it does. A
/// process that it forks does not inherit it (fcntl(2), `F_SETLK`).
pub struct Lease {
    path: PathBuf,
    /// `Some` while this process has the lock: to close the file gives it back.
    file: Mutex<Option<File>>,
}

/// The files that this process has locked. It must not open one of them again: to close the second
/// descriptor would unlock the file.
static LOCKED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

impl Lease {
    /// A lock that is not taken yet. The file is made when it is.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: Mutex::new(None),
        }
    }

    /// Tries to get the lock. Returns whether this lease has it. Of two leases of the same file in
    /// a process, one has it. If it cannot be known whether another process has it, this one does
    /// not, and the error log says so.
    pub fn take(&self) -> bool {
        self.try_take().unwrap_or_else(|error| {
            complain(&self.path, &error);
            false
        })
    }

    fn try_take(&self) -> io::Result<bool> {
        let mut held = lock(&self.file);
        if held.is_none() {
            let mut locked = lock(&LOCKED);
            if locked.contains(&self.path) {
                return Ok(false);
            }
            *held = open_locked(&self.path)?;
            if held.is_some() {
                locked.push(self.path.clone());
            }
        }
        Ok(held.is_some())
    }

    /// The number that a process with the lock has [noted](Self::note) last. `None`: none has, or
    /// this lease does not have the lock.
    pub fn noted(&self) -> Option<u64> {
        let held = lock(&self.file);
        let mut bytes = [0; 8];
        held.as_ref()?.read_exact_at(&mut bytes, 0).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Notes a number for the next process that has the lock.
    pub fn note(&self, number: u64) {
        if let Some(file) = &*lock(&self.file) {
            // If the disk is full, the next process knows nothing of this one.
            let _ = file.write_all_at(&number.to_le_bytes(), 0);
        }
    }

    /// Gives the lock back, if this lease has it.
    pub fn give_back(&self) {
        let file = lock(&self.file).take();
        if let Some(file) = file {
            let mut locked = lock(&LOCKED);
            locked.retain(|path| *path != self.path);
            drop(file);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The file, locked. `None`: another process has locked it.
fn open_locked(path: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Logs an error, at most once a minute.
fn complain(path: &Path, error: &io::Error) {
    static THROTTLE: Throttle = Throttle::new();
    if THROTTLE.admits(&(path, error.kind())) {
        let text = format!(
            "this process leaves to others what one process does for all, for it cannot lock {}: \
             {error}",
            path.display()
        );
        log_server(Level::Error, &text);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Lease, open_locked};

    #[test]
    fn one_of_two_leases_of_a_process_has_the_lock_and_leaves_its_note() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| Lease::new(folder.path().join("lock")));
        assert_eq!(one.noted(), None);
        let takes = |lease: &Lease| lease.try_take().unwrap();
        assert!(takes(&one) && takes(&one) && !takes(&other));
        assert_eq!(one.noted(), None);
        one.note(7);
        other.note(8);
        assert_eq!((one.noted(), other.noted()), (Some(7), None));
        one.give_back();
        assert!(takes(&other) && !takes(&one));
        assert_eq!(other.noted(), Some(7));
        drop(other);
        assert!(takes(&one));
    }

    #[test]
    fn an_error_is_not_taken_for_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(matches!(open_locked(&path), Ok(Some(_))));
        let gone = folder.path().join("gone").join("lock");
        assert!(open_locked(&gone).is_err());
        assert!(Lease::new(gone).try_take().is_err());
    }
}
