//! The LMDB environment that the processes of this httpd share, in the directory of
//! [`commons`](super::commons).

use std::fs::File;
use std::io;
use std::path::Path;

use heed::{Env, EnvFlags, EnvOpenOptions, WithoutTls};
use rustix::fs::{FallocateFlags, fallocate};

/// Most read transactions open at a time, in all processes together.
const READERS: u32 = 4096;

/// Opens the environment in a directory, or makes it with room for `size` bytes and `tables`
/// tables. A process may open it only once.
///
/// Writes are not forced to the disk, because the data need not survive a crash of the system. The
/// file has its full size from the beginning: a full disk is an error here, and no signal to a
/// process that writes later.
///
/// # Errors
///
/// Those of LMDB and of the file system.
pub fn open(directory: &Path, size: usize, tables: u32) -> heed::Result<Env<WithoutTls>> {
    let flags = EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::WRITE_MAP;
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(size).max_dbs(tables).max_readers(READERS);
    // SAFETY: only the processes of this httpd have files there, through this function. The file
    // system is local (`reserve`). No process writes to the mapped memory except through LMDB,
    // whose locks all of them use. A process opens the environment after it was forked.
    let environment = unsafe { options.flags(flags).open(directory)? };
    reserve(&directory.join("data.mdb"), size)?;
    Ok(environment)
}

fn reserve(path: &Path, size: usize) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, size as u64)?;
    Ok(())
}
