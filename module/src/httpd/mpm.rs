//! What the multi-processing module (MPM) can do, and what its children are doing.

use std::ffi::c_int;
use std::time::Duration;

use super::sys;

/// Whether a connection may leave its thread while it stays open. It may on an asynchronous MPM,
/// unless it is a stream of HTTP/2 or one of its input filters does its own waiting.
pub fn can_suspend(connection: &sys::conn_rec) -> bool {
    is(sys::AP_MPMQ_IS_ASYNC)
        && !connection.cs.is_null()
        && connection.master.is_null()
        && connection.clogging_input_filters() == 0
}

/// Whether the MPM can serve connections without a thread for each (event).
pub fn is_async() -> bool {
    is(sys::AP_MPMQ_IS_ASYNC)
}

/// Whether the MPM serves connections with threads (event, worker), not with processes (prefork).
pub fn is_threaded() -> bool {
    is(sys::AP_MPMQ_IS_THREADED)
}

/// Whether this process has been told to stop. In the parent process it is also true during a
/// restart.
pub fn is_stopping() -> bool {
    query(sys::AP_MPMQ_MPM_STATE) == sys::AP_MPMQ_STOPPING
}

/// The settings that make the MPM end children with open connections, and what to set instead. The
/// MPM counts idle threads, and a WebSocket without a thread leaves its thread idle.
pub fn settings_that_end_children() -> Vec<String> {
    let workers = query(sys::AP_MPMQ_MAX_DAEMONS).saturating_mul(query(sys::AP_MPMQ_MAX_THREADS));
    let spare = query(sys::AP_MPMQ_MAX_SPARE_THREADS);
    let requests = query(sys::AP_MPMQ_MAX_REQUESTS_DAEMON);
    let mut settings = Vec::new();
    if spare < workers {
        settings.push(format!(
            "MaxSpareThreads {spare} (set it to MaxRequestWorkers, {workers})"
        ));
    }
    if requests > 0 {
        settings.push(format!("MaxConnectionsPerChild {requests} (set it to 0)"));
    }
    settings
}

/// Whether no thread of this child is serving a request, as far as the scoreboard shows.
pub fn is_child_idle() -> bool {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the scoreboard lives as long as the process; the functions check their indexes.
    let child = (0..query(sys::AP_MPMQ_HARD_LIMIT_DAEMONS)).find(|&child| unsafe {
        sys::ap_get_scoreboard_process(child)
            .as_ref()
            .is_some_and(|process| process.pid == pid)
    });
    let Some(child) = child else { return false };
    (0..query(sys::AP_MPMQ_MAX_THREADS)).all(|thread| {
        // SAFETY: as above; other threads write this byte.
        let status = unsafe {
            let worker = sys::ap_get_scoreboard_worker_from_indexes(child, thread);
            worker
                .as_ref()
                .map(|worker| std::ptr::read_volatile(&raw const worker.status))
        };
        let idle = [
            sys::SERVER_DEAD,
            sys::SERVER_STARTING,
            sys::SERVER_READY,
            sys::SERVER_GRACEFUL,
        ];
        status.is_none_or(|status| idle.contains(&status.into()))
    })
}

/// How many children there may be at a time, not counting those that are about to end.
pub fn most_children() -> usize {
    usize::try_from(query(sys::AP_MPMQ_HARD_LIMIT_DAEMONS)).unwrap_or(0)
}

/// How many children serve requests at a time, at most.
pub fn needed_children() -> usize {
    usize::try_from(query(sys::AP_MPMQ_MAX_DAEMONS)).unwrap_or(0)
}

/// The generation that new children of this process would get; in a child, its own.
pub fn generation() -> c_int {
    query(sys::AP_MPMQ_GENERATION)
}

/// How long a graceful stop may take (`GracefulShutdownTimeout`). `None` means no limit.
pub fn graceful_stop_limit() -> Option<Duration> {
    // SAFETY: httpd sets it while it reads the configuration, and does not change it while children
    // serve.
    let seconds = unsafe { sys::ap_graceful_shutdown_timeout };
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
}

/// How many threads of a child serve requests.
pub fn threads_per_child() -> usize {
    usize::try_from(query(sys::AP_MPMQ_MAX_THREADS)).unwrap_or(0)
}

fn is(quality: c_int) -> bool {
    query(quality) != sys::AP_MPMQ_NOT_SUPPORTED
}

/// The MPM's answer, or 0 if it has none.
fn query(question: c_int) -> c_int {
    let mut answer = 0;
    // SAFETY: `answer` is valid for the call; the question may be asked at any time.
    let status = unsafe { sys::ap_mpm_query(question, &raw mut answer) };
    if status == sys::APR_SUCCESS {
        answer
    } else {
        0
    }
}
