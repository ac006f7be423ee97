//! What all processes of this httpd share for topics: a directory, and a little memory on which they
//! wait for news.
//!
//! The parent process makes both and keeps them through restarts, so that children of all
//! generations have the same. The directory lies where httpd has its files for running
//! (`DefaultRuntimeDir`) and goes when httpd stops, unless the administrator names one that stays.

use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::fs::{self, DirBuilder};
use std::io;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{Timespec, futex};

use super::error::check;
use super::pool::Pool;
use super::{mpm, sys};

/// What the parent process keeps by. It names the layout too: a restart may load another version of
/// this module.
const KEY: &CStr = c"mod_websocket.commons.1";

/// The name of a directory that goes when httpd stops, before the number of the parent process.
const PREFIX: &str = "websocket-topics.";

/// What the parent process keeps.
#[repr(C)]
struct Retained {
    words: *const Words,
    /// A path that lives as long as the process.
    directory: *const c_char,
}

/// What processes share.
pub struct Commons {
    /// Where they have files.
    pub directory: PathBuf,
    words: &'static Words,
    /// The number of this child's bit.
    own: OnceLock<usize>,
}

/// What processes see change.
#[repr(C)]
struct Words {
    /// Changes when there is something new for one of them. Its value means nothing.
    news: AtomicU32,
    /// Counts the children that have ended.
    deaths: AtomicU32,
    /// Which child has which bit: its process id, or zero.
    bits: [AtomicU32; OWN_BITS],
}

/// Processes that wait with a bit of their own. All others have the last bit.
const OWN_BITS: usize = 31;

/// Those who wait for news, by their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiters(u32);

impl Waiters {
    const ALL: Self = Self(u32::MAX);

    fn numbered(number: usize) -> Self {
        Self(1 << number)
    }
}

impl Commons {
    /// The number of news, to [wait](Self::wait) for others.
    #[must_use]
    pub fn news(&self) -> u32 {
        self.words.news.load(Ordering::Acquire)
    }

    /// How many children have ended, about.
    #[must_use]
    pub fn deaths(&self) -> u32 {
        self.words.deaths.load(Ordering::Acquire)
    }

    /// Waits until there are other news than `seen`, or until then. May return early.
    pub fn wait(&self, seen: u32, until: Option<Timespec>) {
        let Some(bits) = NonZeroU32::new(self.own().0) else {
            return;
        };
        // Whoever is interrupted looks for news, too.
        let _ = futex::wait_bitset(
            &self.words.news,
            futex::Flags::empty(),
            seen,
            until.as_ref(),
            bits,
        );
    }

    /// There are news for other processes.
    pub fn tell_others(&self) {
        let own = self.own();
        let is_alone = own != Waiters::numbered(OWN_BITS);
        self.tell(if is_alone {
            Waiters(!own.0)
        } else {
            Waiters::ALL
        });
    }

    /// There are news for whoever waits in this process.
    pub fn tell_own(&self) {
        self.tell(self.own());
    }

    /// The bit of this child, which it may share if there are many.
    fn own(&self) -> Waiters {
        let take = || {
            let is_taken = |bit: &AtomicU32| {
                let pid = std::process::id();
                let taken = bit.compare_exchange(0, pid, Ordering::AcqRel, Ordering::Acquire);
                taken.is_ok()
            };
            self.words
                .bits
                .iter()
                .position(is_taken)
                .unwrap_or(OWN_BITS)
        };
        Waiters::numbered(*self.own.get_or_init(take))
    }

    fn tell(&self, waiters: Waiters) {
        self.words.news.fetch_add(1, Ordering::AcqRel);
        if let Some(bits) = NonZeroU32::new(waiters.0) {
            let all = u32::MAX >> 1;
            // It cannot fail: the memory is mapped.
            let _ = futex::wake_bitset(&self.words.news, futex::Flags::empty(), all, bits);
        }
    }
}

/// A child has ended. For the parent process.
pub fn note_death(pid: i32) {
    if let Some(commons) = COMMONS.get() {
        let pid = pid.unsigned_abs();
        for bit in &commons.words.bits {
            let _ = bit.compare_exchange(pid, 0, Ordering::AcqRel, Ordering::Acquire);
        }
        commons.words.deaths.fetch_add(1, Ordering::AcqRel);
        commons.tell(Waiters::ALL);
    }
}

/// Set by the parent process, before it forks.
static COMMONS: OnceLock<Commons> = OnceLock::new();

/// What processes share; `None` if the parent process could not make it.
#[must_use]
pub fn get() -> Option<&'static Commons> {
    COMMONS.get()
}

/// What [`share`] has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// The directory is the one that was asked for.
    AsWanted,
    /// It is another: the configuration names another one than when httpd was started.
    Other,
}

/// Makes what is shared, or finds what an earlier configuration has made. `path` is a directory
/// that stays when httpd stops.
///
/// # Errors
///
/// Of the file system, with the path.
///
/// # Safety
///
/// This is the parent process, without other threads; `configuration` is the pool of the
/// configuration, and `server` is live.
pub unsafe fn share(
    configuration: Pool,
    server: *const sys::server_rec,
    path: Option<&Path>,
) -> io::Result<Kept> {
    let is_lasting = path.is_some();
    // SAFETY: httpd hands out what was kept by this key, which only this function does. Memory and
    // path live as long as the process; a child has a copy of both mappings.
    let (words, directory, wanted) = unsafe {
        let process_pool = (*(*server).process).pool;
        let wanted = path.map_or_else(|| temporary(configuration), |path| Ok(path.to_owned()))?;
        let mut retained = sys::ap_retained_data_get(KEY.as_ptr()).cast::<Retained>();
        if retained.is_null() {
            let words = allocate(process_pool)?;
            let directory = CString::new(wanted.as_os_str().as_bytes())?;
            retained = sys::ap_retained_data_create(KEY.as_ptr(), size_of::<Retained>()).cast();
            retained.write(Retained {
                words,
                // Once for each start of httpd.
                directory: directory.into_raw(),
            });
        }
        let Retained { words, directory } = retained.read();
        let directory = CStr::from_ptr(directory).to_bytes();
        (&*words, PathBuf::from(OsStr::from_bytes(directory)), wanted)
    };
    make(&directory)?;
    let is_wanted = directory == wanted;
    if !is_lasting && is_wanted {
        remove_left_over(&directory);
        remove_at_stop(configuration, directory.clone());
    }
    COMMONS.get_or_init(|| Commons {
        directory,
        words,
        own: OnceLock::new(),
    });
    Ok(if is_wanted {
        Kept::AsWanted
    } else {
        Kept::Other
    })
}

fn temporary(pool: Pool) -> io::Result<PathBuf> {
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

/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn allocate(pool: *mut sys::apr_pool_t) -> io::Result<*const Words> {
    let mut memory = ptr::null_mut();
    // SAFETY: the caller vouches for the pool. APR aligns the memory for every basic type. Zeros
    // are valid for all fields.
    unsafe {
        let size = size_of::<Words>();
        let created = sys::apr_shm_create(&raw mut memory, size, ptr::null(), pool);
        check(created)?;
        let start: *mut c_void = sys::apr_shm_baseaddr_get(memory);
        start.write_bytes(0, size);
        Ok(start.cast())
    }
}

/// Makes a directory that only the user of the children may use.
fn make(directory: &Path) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
    };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(named)?,
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // SAFETY: httpd has read its configuration, and changes this only when it does so again.
    let (user, group) = unsafe {
        let config = &raw const sys::ap_unixd_config;
        ((*config).user_id, (*config).group_id)
    };
    chown(directory, Some(user), Some(group)).map_err(named)
}

/// Removes directories of httpds that were killed.
fn remove_left_over(directory: &Path) {
    let Some(Ok(entries)) = directory.parent().map(fs::read_dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let process = number
            .and_then(|number| number.parse().ok())
            .and_then(rustix::process::Pid::from_raw);
        let is_gone = process.is_some_and(|process| {
            rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
        });
        if is_gone {
            // It is of no use to anybody; the next start tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the directory when httpd stops, and not when it is restarted.
fn remove_at_stop(configuration: Pool, directory: PathBuf) {
    // httpd counts on before it clears the configuration for a restart, and not for a stop.
    let (parent, generation) = (std::process::id(), mpm::generation());
    configuration.before_destroy(move || {
        if std::process::id() == parent && mpm::generation() == generation {
            // Whoever still has it open goes on.
            let _ = fs::remove_dir_all(&directory);
        }
    });
}
