//! A directive: its entry in httpd's table, and the way from httpd's call to the function that
//! applies it.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use crate::entry::config::Config;
use crate::entry::startup::{self, Subject};
use crate::httpd::guard::guard;
use crate::httpd::lines::place;
use crate::httpd::pool::{Pool, bytes};
use crate::httpd::section::Section;
use crate::httpd::sys;

/// Where most directives may be: in servers and virtual hosts, directories, locations, and
/// `.htaccess` files under `AllowOverride AuthConfig`.
const ANYWHERE: c_int = sys::OR_AUTHCFG | sys::RSRC_CONF;

/// Applies a directive with one argument, or one argument of several.
pub(super) type SetOne = fn(&mut Directive<'_>, Argument<'_>) -> Result<(), String>;

/// Applies a directive with two arguments.
pub(super) type SetTwo = fn(&mut Directive<'_>, Argument<'_>, Argument<'_>) -> Result<(), String>;

/// Applies a directive with up to three arguments. Missing arguments are empty.
pub(super) type SetThree = fn(&mut Directive<'_>, [Argument<'_>; 3]) -> Result<(), String>;

/// Applies a directive that is `On` or `Off`.
pub(super) type SetFlag = fn(&mut Config, bool);

/// An argument of a directive, as written in the configuration.
#[derive(Clone, Copy)]
pub(super) struct Argument<'a>(pub(super) &'a [u8]);

impl<'a> Argument<'a> {
    pub(super) fn text(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

/// The end of the table.
pub(super) const END: sys::command_rec = sys::command_rec {
    name: ptr::null(),
    func: sys::cmd_func { no_args: None },
    cmd_data: ptr::null_mut(),
    req_override: 0,
    args_how: sys::RAW_ARGS,
    errmsg: ptr::null(),
};

/// A directive with one argument.
pub(super) const fn one(
    name: &'static CStr,
    set: &'static SetOne,
    help: &'static CStr,
) -> sys::command_rec {
    sys::command_rec {
        func: sys::cmd_func {
            take1: Some(apply_one),
        },
        cmd_data: ptr::from_ref(set).cast_mut().cast(),
        args_how: sys::TAKE1,
        ..named(name, help)
    }
}

/// A directive with one or more arguments. Each of them is applied.
pub(super) const fn each(
    name: &'static CStr,
    set: &'static SetOne,
    help: &'static CStr,
) -> sys::command_rec {
    sys::command_rec {
        args_how: sys::ITERATE,
        ..one(name, set, help)
    }
}

/// A directive with two arguments.
pub(super) const fn two(
    name: &'static CStr,
    set: &'static SetTwo,
    help: &'static CStr,
) -> sys::command_rec {
    sys::command_rec {
        func: sys::cmd_func {
            take2: Some(apply_two),
        },
        cmd_data: ptr::from_ref(set).cast_mut().cast(),
        args_how: sys::TAKE2,
        ..named(name, help)
    }
}

/// A directive with one argument or two. A missing second argument is empty.
pub(super) const fn one_or_two(
    name: &'static CStr,
    set: &'static SetTwo,
    help: &'static CStr,
) -> sys::command_rec {
    sys::command_rec {
        args_how: sys::TAKE12,
        ..two(name, set, help)
    }
}

/// A directive with one to three arguments.
pub(super) const fn up_to_three(
    name: &'static CStr,
    set: &'static SetThree,
    help: &'static CStr,
) -> sys::command_rec {
    sys::command_rec {
        func: sys::cmd_func {
            take3: Some(apply_three),
        },
        cmd_data: ptr::from_ref(set).cast_mut().cast(),
        args_how: sys::TAKE123,
        ..named(name, help)
    }
}

/// A directive that is `On` or `Off`.
pub(super) const fn flag(
    name: &'static CStr,
    set: &'static SetFlag,
    help: &'static CStr,
) -> sys::command_rec {
    sys::command_rec {
        func: sys::cmd_func {
            flag: Some(apply_flag),
        },
        cmd_data: ptr::from_ref(set).cast_mut().cast(),
        args_how: sys::FLAG,
        ..named(name, help)
    }
}

/// A directive that may only be in servers and virtual hosts, because it concerns more than one
/// section.
pub(super) const fn of_server(command: sys::command_rec) -> sys::command_rec {
    sys::command_rec {
        req_override: sys::RSRC_CONF,
        ..command
    }
}

/// A directive that may be anywhere but in `.htaccess` files, because it decides how much load the
/// whole server has to bear.
pub(super) const fn of_configuration(command: sys::command_rec) -> sys::command_rec {
    sys::command_rec {
        req_override: sys::RSRC_CONF | sys::ACCESS_CONF,
        ..command
    }
}

/// A directive that may only be in sections of httpd's own configuration, next to the access rules
/// that it needs.
pub(super) const fn of_section(command: sys::command_rec) -> sys::command_rec {
    sys::command_rec {
        req_override: sys::ACCESS_CONF,
        ..command
    }
}

const fn named(name: &'static CStr, help: &'static CStr) -> sys::command_rec {
    sys::command_rec {
        name: name.as_ptr(),
        req_override: ANYWHERE,
        errmsg: help.as_ptr(),
        ..END
    }
}

/// One occurrence of a directive while httpd reads it.
pub(super) struct Directive<'a> {
    parms: &'a sys::cmd_parms,
    /// The section that the directive is in.
    pub(super) config: &'a mut Config,
}

impl Directive<'_> {
    pub(super) fn pool(&self) -> Pool {
        // SAFETY: the pool of the configuration being read lives longer than this call.
        unsafe { Pool::new(self.parms.pool) }
    }

    /// The section that the directive is in.
    pub(super) fn section(&self) -> Section {
        // SAFETY: httpd is reading this directive.
        unsafe { Section::around(self.parms) }
    }

    /// Lets the plugin check its options before httpd starts, so that bad options prevent the
    /// start.
    pub(super) fn check_at_startup(&mut self, subject: Subject) {
        let (pool, server) = (self.pool(), self.parms.server);
        startup::remember(pool, server, self.config, subject, self.parms.directive);
    }

    /// Refuses a directive about whole processes in a virtual host.
    pub(super) fn only_in_main_server(&self, name: &str) -> Result<(), String> {
        // SAFETY: a directive has a server.
        if unsafe { (*self.parms.server).is_virtual } == 0 {
            return Ok(());
        }
        Err(format!(
            "{name} holds for whole processes and cannot stand in a <VirtualHost>"
        ))
    }

    /// Warns of what the directive says, with its file and line. `text` says what to write instead.
    pub(super) fn warn(&self, text: &str) {
        // SAFETY: httpd sets `directive` for a directive that it reads from a file. The file's name
        // is a string.
        let place = unsafe {
            let directive = self.parms.directive.as_ref();
            directive.map_or_else(String::new, |directive| place(directive) + ": ")
        };
        startup::warn(self.pool(), self.parms.server, format!("{place}{text}"));
    }
}

unsafe extern "C" fn apply_one(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    value: *const c_char,
) -> *const c_char {
    // SAFETY: these are httpd's arguments, unchanged. `one` put a `SetOne` into the table.
    unsafe {
        apply(parms, config, |set: &SetOne, directive| {
            set(directive, argument(value))
        })
    }
}

unsafe extern "C" fn apply_two(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    first: *const c_char,
    second: *const c_char,
) -> *const c_char {
    // SAFETY: these are httpd's arguments, unchanged. `two` put a `SetTwo` into the table.
    unsafe {
        apply(parms, config, |set: &SetTwo, directive| {
            set(directive, argument(first), argument(second))
        })
    }
}

unsafe extern "C" fn apply_three(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    first: *const c_char,
    second: *const c_char,
    third: *const c_char,
) -> *const c_char {
    // SAFETY: these are httpd's arguments, unchanged. `up_to_three` put a `SetThree` into the
    // table.
    unsafe {
        apply(parms, config, |set: &SetThree, directive| {
            set(directive, [first, second, third].map(|text| argument(text)))
        })
    }
}

unsafe extern "C" fn apply_flag(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    on: c_int,
) -> *const c_char {
    // SAFETY: these are httpd's arguments, unchanged. `flag` put a `SetFlag` into the table.
    unsafe {
        apply(parms, config, |set: &SetFlag, directive| {
            set(directive.config, on != 0);
            Ok(())
        })
    }
}

/// Applies one directive with the function that its table entry names. Returns the message of an
/// error to httpd.
///
/// # Safety
///
/// The arguments are httpd's, and the entry's `cmd_data` is a reference to a `T`.
unsafe fn apply<T: 'static>(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    action: impl FnOnce(&T, &mut Directive<'_>) -> Result<(), String>,
) -> *const c_char {
    let failed = c"mod_websocket failed while reading the directive".as_ptr();
    guard("a directive", failed, || {
        // SAFETY: httpd passes its parameters and the `Config` that `config::create` made for the
        // section. Only this thread has them. `info` is the `cmd_data` of the entry (config.c,
        // `invoke_cmd`).
        let (set, mut directive) = unsafe {
            let parms = &*parms;
            let directive = Directive {
                parms,
                config: &mut *config.cast::<Config>(),
            };
            (&*parms.info.cast::<T>().cast_const(), directive)
        };
        match action(set, &mut directive) {
            Ok(()) => ptr::null(),
            Err(message) => directive.pool().message(&message),
        }
    })
}

/// An argument. httpd passes null for a missing one.
unsafe fn argument<'a>(text: *const c_char) -> Argument<'a> {
    // SAFETY: the caller passes on an argument of the directive being read.
    Argument(unsafe { bytes(text) }.unwrap_or_default())
}
