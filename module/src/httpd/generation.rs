//! Why a child process ends: httpd restarts, has no more use for it, or stops.
//!
//! httpd tells a child only whether to end gracefully. The rest has to be inferred.
//!
//! A restart shows in the generation: the parent process counts its configurations, and increases
//! the count before it tells the children to end.
//!
//! A graceful stop shows in the parent. It logs a line ("shutting down gracefully") while its state
//! is "stopping" and its generation is still the configured one. A hook sees that line and notes
//! the stop in memory that all processes share.
//!
//! A hard stop is noted there by the children that are told of it, for those that are ending
//! already: httpd would not tell these for seconds. A child that fails while it starts is told the
//! same, but has served no connection, and so does not note it.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use super::error::check;
use super::{mpm, sys};

/// The key by which the parent process finds the memory. It names the layout too, because a restart
/// may load another version of this module.
const KEY: &std::ffi::CStr = c"mod_websocket.generation.1";

/// What all processes of this httpd see.
#[repr(C)]
struct Shared {
    /// The generation for which the configuration was last read.
    configured: AtomicI32,
    /// httpd stops gracefully, and does not restart.
    is_stopping: AtomicBool,
    /// When children were told to end at once, in seconds of the monotonic clock. 0: never.
    hard_at: AtomicU64,
}

/// A hard stop takes less than this, in seconds (mpm_unix.c, `ap_reclaim_child_processes`).
const HARD_FOR: u64 = 15;

/// Set by the parent process, before it forks.
static SHARED: OnceLock<&Shared> = OnceLock::new();

/// The process that reads the configuration.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// This child has served a connection.
static HAS_SERVED: AtomicBool = AtomicBool::new(false);

/// The generation of this child.
static OWN: OnceLock<c_int> = OnceLock::new();

/// Makes the shared memory, or finds what an earlier configuration has made. Notes that a new
/// configuration has been read.
///
/// # Errors
///
/// When the system has no such memory.
///
/// # Safety
///
/// This is the parent process, without other threads, and `server` is live.
pub unsafe fn begin(server: *const sys::server_rec) -> io::Result<()> {
    // SAFETY: httpd hands out what was kept by this key, which only this function does. The memory
    // is mapped as long as the process runs, and so is a child's copy of the mapping.
    let shared = unsafe {
        let mut retained = sys::ap_retained_data_get(KEY.as_ptr()).cast::<*const Shared>();
        if retained.is_null() {
            let memory = allocate((*(*server).process).pool)?;
            retained =
                sys::ap_retained_data_create(KEY.as_ptr(), size_of::<*const Shared>()).cast();
            retained.write(memory);
        }
        &*retained.read()
    };
    shared
        .configured
        .store(mpm::generation(), Ordering::Release);
    shared.hard_at.store(0, Ordering::Release);
    PARENT.store(process_id(), Ordering::Relaxed);
    SHARED.get_or_init(|| shared);
    Ok(())
}

/// # Safety
///
/// `pool` lives as long as the process.
unsafe fn allocate(pool: *mut sys::apr_pool_t) -> io::Result<*const Shared> {
    let size = size_of::<Shared>();
    let mut memory = ptr::null_mut();
    // SAFETY: the caller vouches for the pool. APR aligns the memory for every basic type. Zeros
    // are valid for all fields.
    unsafe {
        check(sys::apr_shm_create(
            &raw mut memory,
            size,
            ptr::null(),
            pool,
        ))?;
        let start: *mut c_void = sys::apr_shm_baseaddr_get(memory);
        start.write_bytes(0, size);
        Ok(start.cast())
    }
}

/// Must be called for every line that any process logs: in the parent it may be the line of a stop.
pub fn note_line() {
    let Some(shared) = SHARED.get() else { return };
    let is_parent = PARENT.load(Ordering::Relaxed) == process_id();
    let is_configured = || mpm::generation() == shared.configured.load(Ordering::Acquire);
    if is_parent && mpm::is_stopping() && is_configured() {
        shared.is_stopping.store(true, Ordering::Release);
    }
}

/// Notes that this process is a child that begins to serve.
pub fn enter() {
    OWN.get_or_init(mpm::generation);
}

/// Whether this process is a child that serves, or has begun to.
pub fn is_child() -> bool {
    OWN.get().is_some()
}

/// The generation of this child.
pub fn own() -> c_int {
    OWN.get().copied().unwrap_or_default()
}

/// Must be called by a child that begins to serve a connection.
pub fn note_served() {
    if !HAS_SERVED.load(Ordering::Relaxed) {
        HAS_SERVED.store(true, Ordering::Relaxed);
    }
}

/// Notes that this child was told to end at once.
pub fn note_hard() {
    if let Some(shared) = SHARED.get()
        && HAS_SERVED.load(Ordering::Relaxed)
    {
        shared.hard_at.store(seconds(), Ordering::Release);
    }
}

/// Whether children were told to end at once a short while ago.
pub fn is_hard() -> bool {
    let told = SHARED
        .get()
        .map(|shared| shared.hard_at.load(Ordering::Acquire));
    told.is_some_and(|at| at > 0 && seconds().saturating_sub(at) < HARD_FOR)
}

/// The monotonic clock, which all processes of the system share.
fn seconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs().max(1)
}

/// Whether httpd stops gracefully. It may become true some milliseconds after children were told to
/// end.
pub fn is_stopping() -> bool {
    SHARED
        .get()
        .is_some_and(|shared| shared.is_stopping.load(Ordering::Acquire))
}

/// Whether there has been a restart since this child began to serve.
pub fn is_superseded() -> bool {
    running().is_some_and(|running| running != own())
}

/// Whether httpd has begun a restart and not read its configuration yet. If a child is told to end
/// at once and this is false, httpd stops.
pub fn is_restarting() -> bool {
    let configured = SHARED
        .get()
        .map(|shared| shared.configured.load(Ordering::Acquire));
    running().is_some_and(|running| configured.is_some_and(|configured| configured != running))
}

/// The generation of children that the parent process starts now.
pub(super) fn running() -> Option<c_int> {
    // SAFETY: the scoreboard lives as long as the process. The parent process may write the number
    // at the same time.
    unsafe {
        let global = sys::ap_get_scoreboard_global();
        (!global.is_null()).then(|| (&raw const (*global).running_generation).read_volatile())
    }
}

fn process_id() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
