//! Handles the signal that ends a child process which is already stopping gracefully.
//!
//! A threaded MPM ignores the signal during a graceful stop (worker.c and event.c, `child_main`).
//! With connections that live on, the child would take the full ten seconds until httpd kills it.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rustix::process::getppid;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::iterator::{Handle, SignalsInfo};

use crate::httpd::guard::guard;
use crate::httpd::thread::spawn;

struct Watch {
    handle: Handle,
    thread: JoinHandle<()>,
}

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Calls `action`, on a thread of its own, when httpd's parent process tells this process to
/// terminate. The MPM also sends the signal to itself, to wake its main thread. This ignores that.
///
/// # Errors
///
/// When the process can have no more threads or descriptors.
pub(super) fn watch(action: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if watch.is_some() {
        return Ok(());
    }
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGTERM])?;
    interrupt_system_calls();
    let handle = signals.handle();
    let thread = spawn(Builder::new().name("ws-stop".into()), move || {
        signals
            .forever()
            .filter(is_from_parent)
            .for_each(|_| guard("the answer to SIGTERM", (), &action));
    })?;
    *watch = Some(Watch { handle, thread });
    Ok(())
}

/// Makes the signal interrupt system calls. signal-hook lets them be restarted, but the MPM also
/// uses the signal to wake its own main thread from one (`ap_mpm_podx_check`).
fn interrupt_system_calls() {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the first call fills the structure. The second call reads it, with one flag less.
    unsafe {
        if libc::sigaction(SIGTERM, ptr::null(), action.as_mut_ptr()) == 0 {
            let mut action = action.assume_init();
            action.sa_flags &= !libc::SA_RESTART;
            libc::sigaction(SIGTERM, &raw const action, ptr::null_mut());
        }
    }
}

fn is_from_parent(origin: &Origin) -> bool {
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get());
    origin
        .process
        .is_some_and(|sender| Some(sender.pid) == parent)
}

/// Ends the thread and waits for it. From then on the process ignores the signal: it is about to
/// end.
pub(super) fn stop() {
    let watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Watch { handle, thread }) = watch {
        handle.close();
        // SAFETY: this changes what the signal does in this process. The handler lies in this
        // library, which is unmapped before the process has ended.
        unsafe { libc::signal(SIGTERM, libc::SIG_IGN) };
        // A join fails only if the thread panicked, and then it has ended too.
        let _ = thread.join();
    }
}
