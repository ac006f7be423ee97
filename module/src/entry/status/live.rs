//! The WebSocket that keeps the page up to date.

use std::sync::{Arc, OnceLock};

use super::page;
use crate::entry::config::Config;
use crate::httpd::scoreboard::report;
use crate::plugin::LoadedPlugin;

/// The page asks with a short word.
const LONGEST_MESSAGE: u64 = 125;

/// What serves the page's WebSockets: it answers each message with the tables. So the page asks as
/// often as it wants them, and not while nobody looks at it.
static SERVER: OnceLock<Arc<LoadedPlugin>> = OnceLock::new();

/// The configuration of a WebSocket of the page, where this one holds.
pub(in crate::entry) fn config_for(config: &Config) -> Config {
    let server = SERVER.get_or_init(|| {
        let name = "websocket-status";
        Arc::new(LoadedPlugin::built_in(name, || page::tables(&report())))
    });
    Config {
        plugin: Some(Arc::clone(server)),
        section: None,
        max_message_size: Some(LONGEST_MESSAGE),
        ..config.clone()
    }
}
