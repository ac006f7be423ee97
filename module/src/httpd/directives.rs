//! The directives, from their text to [`Config`].
//!
//! A directive that returns a message stops httpd's start; httpd puts file and line in front of it.

mod values;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use super::config::Config;
use super::guard::guard;
use super::library;
use super::log::{Level, server_line};
use super::pool::{Pool, bytes};
use super::{startup, sys};
use values::{parse_origin_check, parse_size, parse_threads};

/// Where every directive may stand: servers and virtual hosts, directories, locations, and
/// `.htaccess` files under `AllowOverride AuthConfig`.
const CONTEXTS: c_int = sys::OR_AUTHCFG | sys::RSRC_CONF;

#[repr(transparent)]
pub(super) struct Table([sys::command_rec; 10]);

// SAFETY: the table holds constants and pointers to constants; nobody writes to it.
unsafe impl Sync for Table {}

impl Table {
    pub(super) const fn as_ptr(&self) -> *const sys::command_rec {
        self.0.as_ptr()
    }
}

pub(super) static TABLE: Table = Table([
    command(
        c"WebSocketHandler",
        sys::cmd_func {
            take2: Some(handler),
        },
        sys::TAKE2,
        c"Path of a plugin library, followed by the name of its init function",
    ),
    command(
        c"WebSocketPluginOption",
        sys::cmd_func {
            take2: Some(plugin_option),
        },
        sys::TAKE2,
        c"Name and value of an option of the Rust plugin that serves this section",
    ),
    command(
        c"WebSocketMaxMessageSize",
        sys::cmd_func {
            take1: Some(max_message_size),
        },
        sys::TAKE1,
        c"Most bytes a message from a client may have; default 33554432 (32 MiB)",
    ),
    command(
        c"MaxMessageSize",
        sys::cmd_func {
            take1: Some(old_max_message_size),
        },
        sys::TAKE1,
        c"Deprecated name of WebSocketMaxMessageSize",
    ),
    command(
        c"WebSocketOriginCheck",
        sys::cmd_func {
            take1: Some(origin_check),
        },
        sys::TAKE1,
        c"Which origins may open a WebSocket: Off (any), Same (default) or Trusted",
    ),
    command(
        c"WebSocketTrustedOrigin",
        sys::cmd_func {
            take1: Some(trusted_origin),
        },
        sys::ITERATE,
        c"One or more origins that 'WebSocketOriginCheck Trusted' accepts",
    ),
    command(
        c"WebSocketAllowReservedStatusCodes",
        sys::cmd_func {
            flag: Some(allow_reserved_status_codes),
        },
        sys::FLAG,
        c"On lets clients close with status codes reserved for the future; default Off",
    ),
    command(
        c"WebSocketEventDriven",
        sys::cmd_func {
            flag: Some(event_driven),
        },
        sys::FLAG,
        c"On (default): a WebSocket does not hold a thread, where the MPM allows that",
    ),
    sys::command_rec {
        req_override: sys::RSRC_CONF,
        ..command(
            c"WebSocketThreads",
            sys::cmd_func {
                take2: Some(threads),
            },
            sys::TAKE2,
            c"Least and most threads of a child process for event-driven WebSockets",
        )
    },
    END,
]);

const END: sys::command_rec = sys::command_rec {
    name: ptr::null(),
    func: sys::cmd_func { no_args: None },
    cmd_data: ptr::null_mut(),
    req_override: 0,
    args_how: sys::RAW_ARGS,
    errmsg: ptr::null(),
};

const fn command(
    name: &'static CStr,
    func: sys::cmd_func,
    args_how: sys::cmd_how,
    help: &'static CStr,
) -> sys::command_rec {
    sys::command_rec {
        name: name.as_ptr(),
        func,
        cmd_data: ptr::null_mut(),
        req_override: CONTEXTS,
        args_how,
        errmsg: help.as_ptr(),
    }
}

/// One occurrence of a directive while httpd reads it.
struct Directive<'a> {
    parms: &'a sys::cmd_parms,
    config: &'a mut Config,
}

impl Directive<'_> {
    fn pool(&self) -> Pool {
        // SAFETY: the pool of the configuration being read lives longer than this call.
        unsafe { Pool::new(self.parms.pool) }
    }

    /// Has the plugin configured before httpd starts, so that bad options keep it from starting.
    fn check_at_startup(&mut self) {
        let (pool, server) = (self.pool(), self.parms.server);
        startup::remember(pool, server, self.config);
    }

    fn warn(&self, text: &str) {
        // SAFETY: httpd fills `server` and, for a directive read from a file, `directive`.
        unsafe {
            let place = self
                .parms
                .directive
                .as_ref()
                .map_or_else(String::new, |directive| {
                    let file = bytes(directive.filename).unwrap_or_default();
                    format!("{}:{}: ", String::from_utf8_lossy(file), directive.line_num)
                });
            server_line(self.parms.server, Level::Warning, &format!("{place}{text}"));
        }
    }
}

/// Applies one directive; the message of an error goes back to httpd.
unsafe fn apply(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    action: impl FnOnce(&mut Directive<'_>) -> Result<(), String>,
) -> *const c_char {
    let failed = c"mod_websocket failed while reading the directive".as_ptr();
    guard("a directive", failed, || {
        // SAFETY: httpd passes its parameters and the `Config` that `config::create` made for the
        // section, both to this thread alone.
        let mut directive = unsafe {
            Directive {
                parms: &*parms,
                config: &mut *config.cast::<Config>(),
            }
        };
        match action(&mut directive) {
            Ok(()) => ptr::null(),
            Err(message) => directive.pool().message(&message),
        }
    })
}

/// An argument as text; httpd passes none that is null.
unsafe fn argument<'a>(text: *const c_char) -> std::borrow::Cow<'a, str> {
    // SAFETY: the caller passes on an argument of the directive being read.
    String::from_utf8_lossy(unsafe { bytes(text) }.unwrap_or_default())
}

unsafe extern "C" fn handler(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    path: *const c_char,
    symbol: *const c_char,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            let (path, symbol) = (bytes(path), bytes(symbol));
            let plugin = library::load(
                directive.pool(),
                path.unwrap_or_default(),
                symbol.unwrap_or_default(),
            )?;
            directive.config.plugin = Some(plugin);
            directive.check_at_startup();
            Ok(())
        })
    }
}

unsafe extern "C" fn plugin_option(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    name: *const c_char,
    value: *const c_char,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            directive
                .config
                .options
                .set(&argument(name), &argument(value));
            directive.check_at_startup();
            Ok(())
        })
    }
}

unsafe extern "C" fn max_message_size(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    size: *const c_char,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            directive.config.max_message_size =
                Some(parse_size("WebSocketMaxMessageSize", &argument(size))?);
            Ok(())
        })
    }
}

unsafe extern "C" fn old_max_message_size(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    size: *const c_char,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            directive.config.max_message_size =
                Some(parse_size("MaxMessageSize", &argument(size))?);
            directive.warn("MaxMessageSize is deprecated; use WebSocketMaxMessageSize instead");
            Ok(())
        })
    }
}

unsafe extern "C" fn origin_check(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    word: *const c_char,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            directive.config.origin_policy = Some(parse_origin_check(&argument(word))?);
            Ok(())
        })
    }
}

unsafe extern "C" fn trusted_origin(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    origin: *const c_char,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            let origins = directive.config.trusted_origins.get_or_insert_default();
            Arc::make_mut(origins).push(argument(origin).into());
            Ok(())
        })
    }
}

unsafe extern "C" fn allow_reserved_status_codes(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    on: c_int,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            directive.config.allow_reserved_status_codes = Some(on != 0);
            Ok(())
        })
    }
}

unsafe extern "C" fn event_driven(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    on: c_int,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came.
    unsafe {
        apply(parms, config, |directive| {
            directive.config.event_driven = Some(on != 0);
            Ok(())
        })
    }
}

unsafe extern "C" fn threads(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    min: *const c_char,
    max: *const c_char,
) -> *const c_char {
    // SAFETY: httpd's arguments, passed on as they came; a directive has a server.
    unsafe {
        apply(parms, config, |directive| {
            if (*directive.parms.server).is_virtual != 0 {
                return Err(
                    "WebSocketThreads holds for whole processes and cannot stand in a \
                            <VirtualHost>"
                        .into(),
                );
            }
            directive.config.threads = Some(parse_threads(&argument(min), &argument(max))?);
            Ok(())
        })
    }
}
