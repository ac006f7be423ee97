//! The module's own threads in a child process.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::mpm;

/// Starts a thread that takes no signals. httpd expects signals in its own threads, and its
/// handlers end the process.
///
/// # Errors
///
/// When the process can have no more threads.
pub fn spawn<T: Send + 'static>(
    builder: Builder,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    // A new thread inherits the mask. So no signal can reach it before it could block signals
    // itself.
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid for the calls, and `all` and `old` are filled before they are
    // read. The mask of this thread is restored.
    unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        let thread = builder.spawn(body);
        libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut());
        thread
    }
}

/// Like [`spawn`], for a thread that runs until the child ends. A child whose MPM has no threads is
/// ended by a signal, which does not wait for threads.
///
/// # Errors
///
/// As for [`spawn`].
pub fn spawn_lasting<T: Send + 'static>(
    builder: Builder,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    if !mpm::is_threaded() {
        keep_code_loaded();
    }
    spawn(builder, body)
}

/// Keeps the code of this module in memory until the process ends, even if httpd unloads it.
fn keep_code_loaded() {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: the address is that of a function of this module, and `found` is valid for the call.
    // If the call succeeds, the name is a string. The library is loaded already, so no code of it
    // runs.
    unsafe {
        let here = keep_code_loaded as fn() as *const libc::c_void;
        if libc::dladdr(here, found.as_mut_ptr()) != 0 {
            let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            libc::dlopen(found.assume_init().dli_fname, flags);
        }
    }
}

/// The system's id of the current thread.
#[must_use]
pub fn current() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Whether a thread of this process sleeps, as far as the system tells (proc_pid_stat(5)). Any
/// state but "running" counts as sleeping.
#[must_use]
pub fn is_blocked(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // The state follows the name, which may contain any characters.
    let state = stat
        .as_deref()
        .ok()
        .and_then(|stat| stat.rsplit_once(')'))
        .and_then(|(_, fields)| fields.trim_start().chars().next());
    state != Some('R')
}

/// How long a thread of this process has computed so far, if the system tells.
#[must_use]
pub fn worked(thread: i32) -> Option<Duration> {
    // The clock of a thread. clock_gettime(2) describes its number, and `pthread_getcpuclockid`
    // makes the same.
    let clock = (!thread).wrapping_shl(3) | PER_THREAD | SCHEDULED;
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is valid for the call, which fills it if it succeeds; it refuses a thread that
    // has ended.
    let time = unsafe {
        if libc::clock_gettime(clock, time.as_mut_ptr()) != 0 {
            return None;
        }
        time.assume_init()
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).ok()?))
}

/// The bit in a clock's number that says that it belongs to a thread, not to a process.
const PER_THREAD: libc::clockid_t = 4;

/// The bits in a clock's number that select the time which the scheduler has counted.
const SCHEDULED: libc::clockid_t = 2;

#[cfg(test)]
mod tests {
    use super::{current, is_blocked, worked};
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    #[test]
    fn a_thread_that_waits_is_blocked_and_one_that_computes_is_not() {
        assert!(!is_blocked(current()));
        let (number, numbers) = channel();
        let (release, released) = channel::<()>();
        let thread = std::thread::spawn(move || {
            number.send(current()).unwrap();
            released.recv()
        });
        let waiting = numbers.recv().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_blocked(waiting) {
            assert!(Instant::now() < deadline);
        }
        release.send(()).unwrap();
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn another_thread_is_told_how_long_one_has_computed() {
        let computing = current();
        let before = worked(computing).unwrap();
        while worked(computing).unwrap() < before + Duration::from_millis(2) {}
        let seen = std::thread::spawn(move || worked(computing));
        assert!(seen.join().unwrap().unwrap() >= before + Duration::from_millis(2));
        // No thread can have this id (proc_sys_kernel(5), pid_max). The id of a thread that has
        // ended may belong to another one by now.
        assert_eq!(worked(1 << 22), None);
    }
}
