//! What all processes of this httpd share for topics and ticks: a directory, and a few words of
//! memory on which they wait for news.
//!
//! The parent process makes both and keeps them through restarts, so that children of all
//! generations share the same. By default the directory lies where httpd has its run-time files
//! (`DefaultRuntimeDir`), and is removed when httpd stops. The administrator can name one that
//! stays.

mod directory;

use std::ffi::{CStr, CString, OsStr, c_char};
use std::fmt::Display;
use std::hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState};
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

/// The key by which the parent process finds what it keeps. It names the layout too, because a
/// restart may load another version of this module.
const KEY: &CStr = c"mod_websocket.commons.2";

/// What the parent process keeps, beginning with its first configuration.
#[repr(C)]
struct Retained {
    words: *const Words,
    /// A path, which lives as long as the process.
    directory: *const c_char,
    /// The size of the shared data in the directory, in bytes.
    size: usize,
    /// The directory is removed when httpd stops.
    is_temporary: bool,
    /// The open directory, locked as long as a process of this httpd lives.
    _lock: RawFd,
}

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'w> {
    /// A directory that stays when httpd stops. `None`: one that is removed then.
    pub path: Option<&'w Path>,
    /// The size of the shared data in it, in bytes.
    pub size: usize,
}

/// What the processes share.
pub struct Commons {
    /// The directory of their files.
    pub directory: PathBuf,
    /// How much memory these files may take, in bytes.
    pub size: usize,
    words: &'static Words,
    /// The number of this child's bit, once it has one.
    own: OnceLock<usize>,
}

/// The shared words that processes watch.
#[repr(C)]
struct Words {
    /// Changes when there is news for a process. The value itself has no meaning.
    news: AtomicU32,
    /// Counts the children that have ended.
    deaths: AtomicU32,
    /// A random number that probably differs from that of every other start of httpd.
    start: AtomicU32,
    /// Counts the children that have taken a number.
    children: AtomicU32,
    /// For each bit, the process id of the child that has it, or zero.
    bits: [AtomicU32; OWN_BITS],
}

/// How many children can have a bit of their own. All others share the last bit.
const OWN_BITS: usize = 31;

/// A set of waiting processes, by their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiters(u32);

impl Waiters {
    const ALL: Self = Self(u32::MAX);

    fn numbered(number: usize) -> Self {
        Self(1 << number)
    }
}

impl Commons {
    /// The path of a file that processes lock, in the directory.
    #[must_use]
    pub fn lock_file(&self, name: &dyn Display) -> PathBuf {
        self.directory.join(format!("{}{name}", directory::LOCKS))
    }

    /// The path of the file that the process locks which calls a plugin at regular times. `key`
    /// distinguishes the plugin and its options from others.
    #[must_use]
    pub fn tick_file(&self, key: &str) -> PathBuf {
        // The parent process and all its children have the same hasher.
        let mut hasher = DefaultHasher::new();
        hasher.write(key.as_bytes());
        let name = format!("{}{:016x}", directory::TICKS, hasher.finish());
        self.directory.join(name)
    }

    /// The current value of the news word, to [wait](Self::wait) for another one.
    #[must_use]
    pub fn news(&self) -> u32 {
        self.words.news.load(Ordering::Acquire)
    }

    /// About how many children have ended.
    #[must_use]
    pub fn deaths(&self) -> u32 {
        self.words.deaths.load(Ordering::Acquire)
    }

    /// A number for this child. The upper 16 bits are those of the [start](Self::start). The lower
    /// ones count children, so two children of one start differ unless 65,536 have taken a number
    /// between them.
    #[must_use]
    pub fn take_number(&self) -> u32 {
        let number = self.words.children.fetch_add(1, Ordering::Relaxed);
        self.start() << 16 | number & 0xffff
    }

    /// The number of this start of httpd, of 16 bits.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.words.start.load(Ordering::Relaxed)
    }

    /// Waits until the news word differs from `seen`, or until the time `until` of the monotonic
    /// clock. May return early.
    pub fn wait(&self, seen: u32, until: Option<Timespec>) {
        let Some(bits) = NonZeroU32::new(self.own().0) else {
            return;
        };
        // A caller whose wait a signal interrupts looks for news, too.
        let _ = futex::wait_bitset(
            &self.words.news,
            futex::Flags::empty(),
            seen,
            until.as_ref(),
            bits,
        );
    }

    /// Wakes the other processes: there is news for them.
    pub fn tell_others(&self) {
        let own = self.own();
        let has_own_bit = own != Waiters::numbered(OWN_BITS);
        self.tell(if has_own_bit {
            Waiters(!own.0)
        } else {
            Waiters::ALL
        });
    }

    /// Wakes the threads of this process that wait: there is news for them.
    pub fn tell_own(&self) {
        self.tell(self.own());
    }

    /// Whether no other child has a bit: none has taken one, or all that have are gone.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let own = std::process::id();
        let mut bits = self.words.bits.iter();
        bits.all(|bit| [0, own].contains(&bit.load(Ordering::Acquire)))
    }

    /// The bit of this child. It shares the last one if all others are taken.
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
            // The call cannot fail: the memory is mapped.
            let _ = futex::wake_bitset(&self.words.news, futex::Flags::empty(), all, bits);
        }
    }
}

/// Frees the bit of a child that has ended, and wakes all others. For the parent process.
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

/// What the processes share. `None` if the parent process could not make it.
#[must_use]
pub fn get() -> Option<&'static Commons> {
    COMMONS.get()
}

/// What [`share`] has found or made.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// What was wanted.
    AsWanted,
    /// Something else: the configuration has changed since httpd was started.
    Other,
}

/// Makes what the processes share, or finds what an earlier configuration has made.
///
/// # Errors
///
/// Those of the file system, with the path.
///
/// # Safety
///
/// This is the parent process and it has no other threads. It forks nothing but its children from
/// now on. `configuration` is the pool of the configuration, and `server` is live.
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
    // The new configuration may name another user for the children (`User`).
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

/// Makes what is shared, for the first configuration of this httpd.
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
        // Neither is ever freed. There is one of each for a start of httpd.
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
