//! What httpd is doing.

use super::sys;

/// Whether httpd serves requests. Configuration that it reads then is in `.htaccess` files, each
/// read for one request.
pub fn is_serving() -> bool {
    query(sys::AP_SQ_MAIN_STATE) == sys::AP_SQ_MS_RUN_MPM
}

/// Whether httpd reads its configuration for the first of two times at a start.
pub fn is_rehearsal() -> bool {
    query(sys::AP_SQ_MAIN_STATE) == sys::AP_SQ_MS_CREATE_PRE_CONFIG
}

/// Whether httpd only checks its configuration (`httpd -t`, `apachectl configtest`).
pub fn is_only_test() -> bool {
    query(sys::AP_SQ_RUN_MODE) == sys::AP_SQ_RM_CONFIG_TEST
}

fn query(question: i32) -> i32 {
    // SAFETY: the state may be asked for at any time.
    unsafe { sys::ap_state_query(question) }
}
