//! What all processes of this httpd share for topics: a directory, and a little memory on which
//! they wait for news.
//!
//! The parent process makes both and keeps them through restarts, so that children of all
//! generations have the same. The directory lies where httpd has its files for running
//! (`DefaultRuntimeDir`) and goes when httpd stops, unless the administrator names one that stays.

mod directory;

use std::ffi::{CStr, CString, OsStr, c_char};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{IntoRawFd as _, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::thread::{Timespec, futex};

use super::error::check;
use super::pool::Pool;
use super::sys;

/// What the parent process keeps by. It names the layout too: a restart may load another version of
/// this module.
const KEY: &CStr = c"mod_websocket.commons.2";

/// What the parent process keeps from its first configuration on.
#[repr(C)]
struct Retained {
    words: *const Words,
    /// A path that lives as long as the process.
    directory: *const c_char,
    /// Bytes of what is shared in the directory.
    size: usize,
    /// The directory goes when httpd stops.
    is_temporary: bool,
    /// The directory, locked as long as a process of this httpd lives.
    _lock: RawFd,
}

/// What is to be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'w> {
    /// A directory that stays when httpd stops, if it is to be one.
    pub path: Option<&'w Path>,
    /// Bytes of what is shared in it.
    pub size: usize,
}

/// What processes share.
pub struct Commons {
    /// Where they have files.
    pub directory: PathBuf,
    /// How much memory these may take, in bytes.
    pub size: usize,
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
    /// Unlike that of any other start of httpd, probably.
    start: AtomicU32,
    /// Counts the children that have asked for a number.
    children: AtomicU32,
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

    /// A number that no other child of this httpd has, also of an earlier start; 16 bits of it are
    /// those of the [start](Self::start).
    #[must_use]
    pub fn take_number(&self) -> u32 {
        let number = self.words.children.fetch_add(1, Ordering::Relaxed);
        self.start() << 16 | number & 0xffff
    }

    /// A number of this start of httpd, of 16 bits.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.words.start.load(Ordering::Relaxed)
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

    /// Whether no other child has waited for news, or all that have are gone.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let own = std::process::id();
        let mut bits = self.words.bits.iter();
        bits.all(|bit| [0, own].contains(&bit.load(Ordering::Acquire)))
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
    /// What was wanted.
    AsWanted,
    /// Something else: the configuration has changed since httpd was started.
    Other,
}

/// Makes what is shared, or finds what an earlier configuration has made.
///
/// # Errors
///
/// Of the file system, with the path.
///
/// # Safety
///
/// This is the parent process, without other threads, which does not fork any more but for its
/// children; `configuration` is the pool of the configuration, and `server` is live.
pub unsafe fn share(
    configuration: Pool,
    server: *const sys::server_rec,
    wanted: Wanted<'_>,
) -> io::Result<Kept> {
    // SAFETY: httpd hands out what was kept by this key, which only this function does. Memory and
    // path live as long as the process; a child has a copy of both mappings.
    let (words, directory, size, is_temporary) = unsafe {
        let mut retained = sys::ap_retained_data_get(KEY.as_ptr()).cast::<Retained>();
        if retained.is_null() {
            let made = begin((*(*server).process).pool, configuration, wanted)?;
            retained = sys::ap_retained_data_create(KEY.as_ptr(), size_of::<Retained>()).cast();
            retained.write(made);
        }
        let retained = &*retained;
        let directory = CStr::from_ptr(retained.directory).to_bytes();
        let directory = PathBuf::from(OsStr::from_bytes(directory));
        (
            &*retained.words,
            directory,
            retained.size,
            retained.is_temporary,
        )
    };
    // The user may have changed.
    directory::make(&directory)?;
    if is_temporary {
        directory::remove_at_stop(configuration, directory.clone());
    }
    let is_wanted = wanted.path.map_or(is_temporary, |path| path == directory);
    COMMONS.get_or_init(|| Commons {
        directory,
        size,
        words,
        own: OnceLock::new(),
    });
    Ok(if is_wanted && size == wanted.size {
        Kept::AsWanted
    } else {
        Kept::Other
    })
}

/// For the first configuration of this httpd.
///
/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn begin(
    pool: *mut sys::apr_pool_t,
    configuration: Pool,
    wanted: Wanted<'_>,
) -> io::Result<Retained> {
    let directory = match wanted.path {
        Some(path) => path.to_owned(),
        None => directory::temporary(configuration)?,
    };
    if wanted.path.is_none() {
        directory::remove_left_over(&directory);
    }
    let opened = directory::make(&directory)?;
    flock(&opened, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        directory::named(&directory, &format!("another httpd uses it: {error}"))
    })?;
    let path = CString::new(directory.as_os_str().as_bytes())?;
    Ok(Retained {
        // SAFETY: the caller vouches for the pool.
        words: unsafe { allocate(pool)? },
        // Once for each start of httpd, both.
        directory: path.into_raw(),
        _lock: opened.into_raw_fd(),
        size: wanted.size,
        is_temporary: wanted.path.is_none(),
    })
}

/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn allocate(pool: *mut sys::apr_pool_t) -> io::Result<*const Words> {
    let mut memory = ptr::null_mut();
    let start = RandomState::new().build_hasher().finish() & 0xffff;
    // SAFETY: the caller vouches for the pool. APR aligns the memory for every basic type. Zeros
    // are valid for all fields.
    unsafe {
        let size = size_of::<Words>();
        let created = sys::apr_shm_create(&raw mut memory, size, ptr::null(), pool);
        check(created)?;
        let words = sys::apr_shm_baseaddr_get(memory).cast::<Words>();
        words.write_bytes(0, 1);
        (*words).start.store(start as u32, Ordering::Relaxed);
        Ok(words)
    }
}
