//! Which child of a host imports from the broker: the one that has locked a file.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, fcntl_lock};

/// A lock of the process, which the kernel takes away when the process ends, however it does. A
/// process that it forks does not inherit it (fcntl(2), `F_SETLK`).
pub(crate) struct Lease {
    path: PathBuf,
    /// `Some` while this process has the lock: to close the file gives it back.
    file: Mutex<Option<File>>,
}

impl Lease {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: Mutex::new(None),
        }
    }

    /// Tries to get the lock. Returns whether this process has it.
    pub(in crate::topics) fn take(&self) -> bool {
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            let opened = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&self.path);
            *held = opened
                .ok()
                .filter(|file| fcntl_lock(file, FlockOperation::NonBlockingLockExclusive).is_ok());
        }
        held.is_some()
    }
}
