//! Checks what can be checked only when the whole configuration has been read.
//!
//! The options of a plugin may come before or after its `WebSocketHandler`, or in the server around
//! its section. So a Rust plugin can be configured only when everything is known. Mistakes that
//! concern several lines cannot be found earlier either.

#![allow(unsafe_code)]

mod guards;
mod mistakes;
mod warnings;

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::capacity;
use super::config::{self, Config};
use super::http2::settings;
use crate::httpd::lines::{self, Line};
use crate::httpd::log::{Level, log_server, server_line};
use crate::httpd::pool::Pool;
use crate::httpd::{mpm, state, sys};
use crate::registry::DrainTime;
use mistakes::Facts;
pub(super) use warnings::warn;

/// A section that names a plugin or sets options.
#[derive(Clone)]
struct Section {
    server: *mut sys::server_rec,
    config: *const Config,
    /// The ids of its lines that name a plugin, and of its first line that sets an option.
    handlers: Vec<usize>,
    option: Option<usize>,
}

/// The kind of line that makes a [`Section`] worth checking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// `WebSocketHandler`.
    Handler,
    /// `WebSocketPluginOption`.
    Option,
}

// SAFETY: only the one thread that reads the configuration remembers and checks sections.
unsafe impl Send for Section {}

/// The sections of the configuration being read, until its pool is destroyed.
static SECTIONS: Mutex<Vec<Section>> = Mutex::new(Vec::new());

/// Remembers a section for [`check`]. Ignores sections of `.htaccess` files that are read while
/// httpd serves requests: the request checks those. `line` is httpd's record of the directive being
/// read.
pub(super) fn remember(
    pool: Pool,
    server: *mut sys::server_rec,
    config: *const Config,
    subject: Subject,
    line: *const sys::ap_directive_t,
) {
    if state::is_serving() {
        return;
    }
    let mut sections = sections();
    if sections.is_empty() {
        pool.on_destroy(|| self::sections().clear());
    }
    let known = sections.iter().position(|known| known.config == config);
    let index = known.unwrap_or_else(|| {
        sections.push(Section {
            server,
            config,
            handlers: Vec::new(),
            option: None,
        });
        sections.len() - 1
    });
    let section = &mut sections[index];
    match subject {
        Subject::Handler => section.handlers.push(line.addr()),
        Subject::Option => _ = section.option.get_or_insert(line.addr()),
    }
}

/// Configures the plugin of each section, and looks for mistakes. Returns whether all plugins
/// accept their options and all locations that must be guarded are. `main` is the main server.
pub(super) fn check(pool: Pool, main: *mut sys::server_rec) -> bool {
    let sections = sections().clone();
    let lines = lines::all();
    let bad = sections
        .iter()
        .filter(|section| !check_section(section, &lines))
        .count();
    let unguarded = guards::find(&lines);
    for text in &unguarded {
        // SAFETY: httpd passes its main server.
        unsafe { server_line(main, Level::Error, text) };
    }
    for text in mistakes::find(&lines, &facts(&sections, main)) {
        warn(pool, main, text);
    }
    if state::is_only_test() {
        warnings::log();
    }
    bad == 0 && unguarded.is_empty()
}

/// Logs the warnings about the configuration once for each start: httpd reads the configuration
/// twice, and opens its error log only after that. Also warns of settings that would end WebSockets
/// or make them hold threads.
pub(super) fn log_warnings() {
    let about_http2 = settings::read_settings();
    let about_capacity = capacity::read_settings();
    if state::is_rehearsal() {
        return;
    }
    warnings::log();
    if sections().is_empty() {
        return;
    }
    for text in about_ended_children()
        .into_iter()
        .chain(about_capacity)
        .chain(about_http2)
    {
        log_server(Level::Warning, &text);
    }
}

/// Warns of settings that end children with open WebSockets, which then stay open for the drain
/// time only.
fn about_ended_children() -> Option<String> {
    let DrainTime::Limited(time) = config::drain_time() else {
        return None;
    };
    let settings = if mpm::is_async() {
        mpm::settings_that_end_children()
    } else {
        Vec::new()
    };
    (!settings.is_empty()).then(|| {
        format!(
            "httpd ends processes early because of {}; their WebSockets are closed with 1012 \
             within {} s (WebSocketDrainTime)",
            settings.join(" and "),
            time.as_secs()
        )
    })
}

fn facts(sections: &[Section], main: *mut sys::server_rec) -> Facts {
    let is_rust = sections.iter().flat_map(|section| {
        // SAFETY: as in `check_section`.
        let plugin = unsafe { &*section.config }.plugin();
        let is_rust = plugin.is_some_and(|plugin| plugin.is_rust());
        section.handlers.iter().map(move |&line| (line, is_rust))
    });
    Facts {
        is_rust: is_rust.collect(),
        // SAFETY: httpd passes its main server, whose configuration has been read.
        htaccess_plugins: unsafe { config::in_vector((*main).lookup_defaults) }.htaccess_plugins(),
    }
}

fn check_section(section: &Section, lines: &[Line]) -> bool {
    // SAFETY: servers and sections live in the configuration's pool. The pool still exists: its
    // clean-up would have cleared the list.
    let config = unsafe {
        let defaults = (*section.server).lookup_defaults;
        config::in_vector(defaults).merged_with(&*section.config)
    };
    let checked = config.check().and_then(|()| {
        let plugin = config.plugin();
        plugin.map_or(Ok(()), |plugin| plugin.configure(config.options()))
    });
    let Err(error) = checked else {
        return true;
    };
    let error = section.place(lines) + &error;
    // SAFETY: as above.
    unsafe { server_line(section.server, Level::Error, &error) };
    false
}

impl Section {
    /// Where the administrator has to look, such as "FILE:LINE: <Location /x>: ".
    fn place(&self, lines: &[Line]) -> String {
        let id = self.handlers.last().copied().or(self.option);
        let line = lines.iter().find(|line| Some(line.id) == id);
        line.map_or_else(String::new, |line| {
            let section = line.scope.section.as_ref();
            let section = section.map_or_else(String::new, |section| format!("{section}: "));
            format!("{}: {section}", line.place)
        })
    }
}

fn sections() -> MutexGuard<'static, Vec<Section>> {
    SECTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}
