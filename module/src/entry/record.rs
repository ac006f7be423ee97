//! The module record that httpd looks for, the hooks, and the functions that C calls.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr;
use std::time::Instant;

use super::config::{Config, HANDLER};
use super::{
    config, directives, plain, publish, redirects, shutdown, startup, status, topics, upgrade,
};
use crate::httpd::answer::Answer;
use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::pool::Pool;
use crate::httpd::request::Request;
use crate::httpd::{
    bottom, commons, filters, gate, generation, memory, mpm, quota, scoreboard, slot, suspend, sys,
};
use crate::plugin;
use crate::reactor::Reactor;
use crate::topics as topics_of_child;
use crate::{flusher, protocol};

/// The record that `LoadModule websocket_module` names.
#[repr(transparent)]
pub struct Module(UnsafeCell<sys::module>);

// SAFETY: httpd writes to the record, and `register_hooks` reads it, while httpd loads modules with
// a single thread. Nothing else uses it.
unsafe impl Sync for Module {}

/// The module record. The module's name and its file name are those of the C module, because
/// existing configurations test them with `<IfModule>`.
#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
pub static websocket_module: Module = Module(UnsafeCell::new(sys::module {
    version: sys::MODULE_MAGIC_NUMBER_MAJOR,
    minor_version: sys::MODULE_MAGIC_NUMBER_MINOR,
    module_index: -1,
    name: c"mod_websocket.c".as_ptr(),
    dynamic_load_handle: ptr::null_mut(),
    next: ptr::null_mut(),
    magic: sys::MODULE_MAGIC_COOKIE as _,
    rewrite_args: None,
    create_dir_config: Some(config::create),
    merge_dir_config: Some(config::merge),
    create_server_config: None,
    merge_server_config: None,
    cmds: directives::TABLE.as_ptr(),
    register_hooks: Some(register_hooks),
    flags: 0,
}));

unsafe extern "C" fn register_hooks(_pool: *mut sys::apr_pool_t) {
    // SAFETY: httpd is loading the module, and has set the index already (config.c,
    // `ap_add_module`).
    slot::set_module_index(unsafe { (*websocket_module.0.get()).module_index });
    // SAFETY: httpd calls this while modules may add hooks. The functions live as long as the
    // module.
    unsafe {
        // Before all handlers, also those that come first.
        sys::ap_hook_handler(
            Some(supervisor),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_REALLY_FIRST - 1,
        );
        // Before every other handler, as the C module did.
        sys::ap_hook_handler(
            Some(handler),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_FIRST - 1,
        );
        // After every other handler except httpd's own.
        sys::ap_hook_handler(
            Some(plain_handler),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_REALLY_LAST - 1,
        );
        sys::ap_hook_check_config(
            Some(check_config),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_MIDDLE,
        );
        sys::ap_hook_post_config(
            Some(post_config),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_MIDDLE,
        );
        sys::ap_hook_child_init(
            Some(child_init),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_MIDDLE,
        );
        sys::ap_hook_create_connection(
            Some(create_connection),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_REALLY_FIRST,
        );
        sys::ap_hook_resume_connection(
            Some(resume_connection),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_REALLY_FIRST,
        );
        sys::ap_hook_suspend_connection(
            Some(suspend_connection),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_REALLY_LAST,
        );
        sys::ap_hook_child_status(
            Some(child_status),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_MIDDLE,
        );
        sys::ap_hook_error_log(
            Some(error_log),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_MIDDLE,
        );
        filters::register();
        bottom::register();
        status::hook();
        shutdown::hook();
    }
}

unsafe extern "C" fn supervisor(request: *mut sys::request_rec) -> c_int {
    guard(
        "the supervision of handlers",
        sys::HTTP_INTERNAL_SERVER_ERROR,
        || {
            // SAFETY: as in `handler`.
            unsafe { redirects::supervise(Request::new(request)) }
        },
    )
}

unsafe extern "C" fn handler(request: *mut sys::request_rec) -> c_int {
    guard(
        "the request handler",
        sys::HTTP_INTERNAL_SERVER_ERROR,
        || {
            // SAFETY: httpd passes a live request, which only this thread uses until the handler
            // returns.
            let request = unsafe { Request::new(request) };
            if request.handler() == status::HANDLER.as_bytes() {
                // SAFETY: `config::create` made every configuration that httpd keeps for this
                // module.
                let config = unsafe { config::of(request) };
                return serve_status(request, config);
            }
            if request.handler() == publish::HANDLER.as_bytes() {
                // SAFETY: as above.
                let config = unsafe { config::of(request) };
                return publish::handle(request, config).into_status();
            }
            if request.handler() != HANDLER.as_bytes() {
                return sys::DECLINED;
            }
            if let Err(obstacle) = request.check_chain() {
                if request.wants_websocket() {
                    let text = format!("the request is not upgraded: {obstacle}");
                    request.log(Level::Debug, &text);
                }
                return sys::DECLINED;
            }
            let failed = Answer::Status(500);
            let answer = guard("the opening handshake", failed, || {
                // SAFETY: `config::create` made every configuration that httpd keeps for this
                // module.
                let config = unsafe { config::of(request) };
                upgrade::handle(request, config)
            });
            redirects::settle(request, answer).into_status()
        },
    )
}

/// Serves a status page, or the WebSocket behind it.
fn serve_status(request: Request, config: &Config) -> c_int {
    if request.wants_websocket() && request.check_chain().is_ok() {
        let failed = Answer::Status(500);
        let answer = guard("the opening handshake", failed, || {
            upgrade::handle(request, &status::config_for(config))
        });
        if answer != Answer::Declined {
            return redirects::settle(request, answer).into_status();
        }
    }
    status::handle(request, config).into_status()
}

/// Serves a request that our handler and all others have left to httpd's own handler.
unsafe extern "C" fn plain_handler(request: *mut sys::request_rec) -> c_int {
    guard(
        "the handler of plain requests",
        sys::HTTP_INTERNAL_SERVER_ERROR,
        || {
            // SAFETY: as in `handler`.
            let request = unsafe { Request::new(request) };
            // Error pages are not for this handler: they keep the status of their error.
            if request.handler() != HANDLER.as_bytes() || request.check_chain().is_err() {
                return sys::DECLINED;
            }
            // SAFETY: as in `handler`.
            let config = unsafe { config::of(request) };
            plain::handle(request, config).into_status()
        },
    )
}

unsafe extern "C" fn check_config(
    pool: *mut sys::apr_pool_t,
    _log_pool: *mut sys::apr_pool_t,
    _temporary_pool: *mut sys::apr_pool_t,
    server: *mut sys::server_rec,
) -> c_int {
    let is_good = guard("check_config", false, || {
        // SAFETY: httpd passes the pool of the configuration.
        let pool = unsafe { Pool::new(pool) };
        startup::check(pool, server)
    });
    if is_good {
        sys::OK
    } else {
        sys::HTTP_INTERNAL_SERVER_ERROR
    }
}

unsafe extern "C" fn post_config(
    pool: *mut sys::apr_pool_t,
    _log_pool: *mut sys::apr_pool_t,
    _temporary_pool: *mut sys::apr_pool_t,
    server: *mut sys::server_rec,
) -> c_int {
    guard("post_config", (), || {
        startup::log_warnings();
        // SAFETY: httpd passes its main server. This is the parent process, before it has any
        // child.
        if let Err(error) = unsafe { scoreboard::share(server) } {
            let text = format!("the server status will not show WebSockets: {error}");
            log_server(Level::Warning, &text);
        }
        // SAFETY: as above.
        if let Err(error) = unsafe { generation::begin(server) } {
            let text = format!("clients will not be told a stop from a restart: {error}");
            log_server(Level::Warning, &text);
        }
        // SAFETY: as above; httpd passes the pool of the configuration.
        unsafe { topics::prepare(Pool::new(pool), server) };
        // SAFETY: as above.
        if let Err(error) = unsafe { quota::share(server) } {
            let text = format!("limits of the number of WebSockets do not hold: {error}");
            log_server(Level::Warning, &text);
        }
    });
    sys::OK
}

unsafe extern "C" fn child_init(pool: *mut sys::apr_pool_t, _server: *mut sys::server_rec) {
    guard("child_init", (), || {
        scoreboard::enter();
        generation::enter();
        quota::enter();
        protocol::look_for_memory_with(memory::is_available);
        // SAFETY: the child's own pool lives until the child exits. Nothing else runs yet.
        let pool = unsafe { Pool::new(pool) };
        // No thread may outlive the module's code, which is unmapped when the child exits. Without
        // threads the clean-up runs in a signal handler, which must not take a lock.
        if !mpm::is_threaded() {
            gate::arm();
            plugin::begin_ticks(shutdown::prepare);
            return pool.before_destroy(|| {
                plugin::disable_ticks();
                shutdown::end_from_handler();
                topics_of_child::disable();
                flusher::disable();
                if !gate::close() {
                    shutdown::end_now();
                }
            });
        }
        plugin::begin_ticks(|| Ok(()));
        pool.before_destroy(|| {
            shutdown::wait_for_loops();
            let deadline = shutdown::Deadline::current();
            let has_ended = Reactor::stop(deadline.for_loops(Instant::now()));
            let have_ticks_ended = plugin::stop_ticks(deadline.for_ticks(Instant::now()));
            // Their last callbacks may still publish.
            let have_threads_ended = plugin::end_threads(deadline.for_plugins(Instant::now()));
            topics_of_child::stop(deadline.for_topics(Instant::now()));
            flusher::stop();
            shutdown::finish();
            if !has_ended || !have_ticks_ended {
                shutdown::leave();
            }
            if !have_threads_ended {
                shutdown::leave_threads();
            }
        });
    });
}

/// The hook `error_log`. Any process calls it for each line that it logs.
unsafe extern "C" fn error_log(_info: *const sys::ap_errorlog_info, _line: *const c_char) {
    // Not guarded: a panic would be logged, which calls this hook again.
    generation::note_line();
}

/// The hook `child_status`. The parent process calls it.
unsafe extern "C" fn child_status(
    _server: *mut sys::server_rec,
    pid: sys::pid_t,
    _generation: sys::ap_generation_t,
    _slot: c_int,
    state: sys::mpm_child_status,
) {
    if state == sys::MPM_CHILD_EXITED {
        guard("child_status", (), || {
            scoreboard::leave(pid);
            quota::leave(pid);
            commons::note_death(pid);
        });
    }
}

/// The hook `create_connection`: a thread begins to serve a new connection. Another module makes
/// it.
unsafe extern "C" fn create_connection(
    _pool: *mut sys::apr_pool_t,
    _server: *mut sys::server_rec,
    _socket: *mut sys::apr_socket_t,
    _id: c_long,
    _place: *mut c_void,
    _buckets: *mut sys::apr_bucket_alloc_t,
) -> *mut sys::conn_rec {
    suspend::note_taken();
    generation::note_served();
    ptr::null_mut()
}

/// The hook `resume_connection`: a thread goes on with a connection. If the connection has no
/// scoreboard entry, any thread may call this because the connection is being destroyed (event.c,
/// `notify_resume`).
unsafe extern "C" fn resume_connection(
    connection: *mut sys::conn_rec,
    _request: *mut sys::request_rec,
) {
    // SAFETY: the MPM passes a live connection.
    if unsafe { !(*connection).sbh.is_null() } {
        suspend::note_taken();
    }
}

/// The hook `suspend_connection`.
unsafe extern "C" fn suspend_connection(
    connection: *mut sys::conn_rec,
    request: *mut sys::request_rec,
) {
    guard("suspend_connection", (), || {
        // SAFETY: these are the MPM's arguments, unchanged.
        unsafe { suspend::hand_over(connection, request) }
    });
}
