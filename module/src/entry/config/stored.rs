//! Configurations in httpd's memory. httpd makes, merges and keeps them.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};

use super::{
    Config, DEFAULT_DRAIN_RATE, DEFAULT_DRAIN_TIME, DEFAULT_MEMORY_LIMIT, HtaccessPlugins,
};
use crate::httpd::guard::guard;
use crate::httpd::pool::Pool;
use crate::httpd::request::Request;
use crate::httpd::slot::slot;
use crate::httpd::sys;
use crate::reactor::Threads;
use crate::registry::{DrainTime, Rate};

/// The configuration of a request.
///
/// # Safety
///
/// The result must not outlive the request.
pub unsafe fn of<'a>(request: Request) -> &'a Config {
    // SAFETY: the vector lives as long as the request.
    unsafe { in_vector(request.per_dir_config()) }
}

/// This module's part of a per-directory configuration.
///
/// # Safety
///
/// The result must not outlive the vector.
pub unsafe fn in_vector<'a>(vector: *mut sys::ap_conf_vector_t) -> &'a Config {
    // SAFETY: this module's pointer in the vector comes from `create` or `merge`, and lives as long
    // as the vector.
    unsafe { &**slot::<Config>(vector) }
}

/// httpd's `create_dir_config`.
pub unsafe extern "C" fn create(
    pool: *mut sys::apr_pool_t,
    _directory: *mut c_char,
) -> *mut c_void {
    // SAFETY: httpd passes the pool that the configuration has to live in.
    let pool = unsafe { Pool::new(pool) };
    pool.keep(Config::default()).cast()
}

/// httpd's `merge_dir_config`.
pub unsafe extern "C" fn merge(
    pool: *mut sys::apr_pool_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    guard("merge_dir_config", inner, || {
        // SAFETY: both come from `create` or an earlier `merge`. The pool outlives the result.
        let (pool, outer, inner) = unsafe {
            (
                Pool::new(pool),
                &*outer.cast::<Config>(),
                &*inner.cast::<Config>(),
            )
        };
        pool.keep(outer.merged_with(inner)).cast()
    })
}

/// Which plugins an `.htaccess` file may name. Only the main server sets this, because a library
/// that one virtual host loads can do anything in all of them.
pub fn htaccess_plugins() -> HtaccessPlugins {
    of_main_server().map_or_else(HtaccessPlugins::default, Config::htaccess_plugins)
}

/// The most WebSockets of all servers and virtual hosts together.
pub fn max_connections() -> Option<usize> {
    of_main_server()?.limits().max_connections()
}

/// The most bytes of unfinished messages and send queues in a child process. `None` means no limit.
pub fn memory_limit() -> Option<usize> {
    let limit = of_main_server().and_then(|config| config.memory_limit);
    let limit = limit.unwrap_or(Some(DEFAULT_MEMORY_LIMIT))?;
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The threads that `WebSocketThreads` sets.
pub fn threads() -> Option<Threads> {
    of_main_server()?.threads
}

/// The most connections that a child process closes in a second when it is ending.
pub fn drain_rate() -> Rate {
    of_main_server()
        .and_then(|config| config.drain_rate)
        .unwrap_or(DEFAULT_DRAIN_RATE)
}

/// How long connections of the main server may stay open in a child process that is ending.
pub fn drain_time() -> DrainTime {
    of_main_server().map_or(DEFAULT_DRAIN_TIME, Config::drain_time)
}

/// The main server's configuration. It is there while httpd serves requests, and may be missing
/// before.
fn of_main_server<'a>() -> Option<&'a Config> {
    // SAFETY: while httpd serves requests, the main server and its configuration do not change.
    unsafe {
        let server = sys::ap_server_conf.as_ref()?;
        Some(in_vector(server.lookup_defaults))
    }
}
