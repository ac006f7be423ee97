//! What is checked once the whole configuration has been read.
//!
//! A plugin's options may stand before or behind its `WebSocketHandler`, or in the server around its
//! section, so a Rust plugin can only be configured when everything is known.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::config::{self, Config};
use super::log::{Level, log_server, server_line};
use super::pool::Pool;
use super::{http2, mpm, sys};

/// A section that names a plugin or sets options.
#[derive(Clone, Copy)]
struct Section {
    server: *mut sys::server_rec,
    config: *const Config,
}

// SAFETY: sections are remembered and checked by the one thread that reads the configuration.
unsafe impl Send for Section {}

/// The sections of the configuration being read, until its pool is destroyed.
static SECTIONS: Mutex<Vec<Section>> = Mutex::new(Vec::new());

/// Remembers a section for [`check`], unless it comes from an `.htaccess` file while httpd serves:
/// then the request finds out.
pub(super) fn remember(pool: Pool, server: *mut sys::server_rec, config: *const Config) {
    if is_serving() {
        return;
    }
    let mut sections = sections();
    if sections.is_empty() {
        pool.on_destroy(|| self::sections().clear());
    }
    if !sections.iter().any(|section| section.config == config) {
        sections.push(Section { server, config });
    }
}

/// Whether httpd serves requests, so that what it reads are `.htaccess` files, each for one request.
pub(super) fn is_serving() -> bool {
    // SAFETY: the state may be asked for at any time.
    unsafe { sys::ap_state_query(sys::AP_SQ_MAIN_STATE) == sys::AP_SQ_MS_RUN_MPM }
}

/// Configures the plugin of each section. Returns whether all of them agreed.
pub(super) fn check() -> bool {
    let sections = sections().clone();
    let bad = sections
        .iter()
        .filter(|section| !check_section(section))
        .count();
    bad == 0
}

/// Warns of settings that would end WebSockets, or have them take threads, once for each start.
pub(super) fn warn() {
    let about_http2 = http2::read_settings();
    // SAFETY: the state may be asked for at any time.
    let is_rehearsal =
        unsafe { sys::ap_state_query(sys::AP_SQ_MAIN_STATE) } == sys::AP_SQ_MS_CREATE_PRE_CONFIG;
    if is_rehearsal || sections().is_empty() {
        return;
    }
    let retirements = if mpm::is_async() {
        mpm::retirements()
    } else {
        Vec::new()
    };
    for text in retirements.into_iter().chain(about_http2) {
        log_server(Level::Warning, &text);
    }
}

fn check_section(section: &Section) -> bool {
    // SAFETY: servers and sections live in the configuration's pool, which is still there: its
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
    // SAFETY: as above.
    unsafe { server_line(section.server, Level::Error, &error) };
    false
}

fn sections() -> MutexGuard<'static, Vec<Section>> {
    SECTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}
