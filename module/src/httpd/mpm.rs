//! What the multi-processing module can do.

use super::sys;

/// Whether the MPM serves connections with threads (event, worker), not with processes (prefork).
pub fn is_threaded() -> bool {
    let mut answer = 0;
    // SAFETY: `answer` is valid for the call; the question may be asked at any time.
    let status = unsafe { sys::ap_mpm_query(sys::AP_MPMQ_IS_THREADED, &raw mut answer) };
    status == sys::APR_SUCCESS && answer != sys::AP_MPMQ_NOT_SUPPORTED
}
