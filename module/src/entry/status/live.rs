//! The WebSocket that keeps the page up to date.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::page;
use crate::entry::config::Config;
use crate::httpd::scoreboard::report;
use crate::plugin::LoadedPlugin;
use crate::protocol::{Excess, MessageRate, OriginPolicy, Rate};

/// The page asks with a short word.
const LONGEST_MESSAGE: u64 = 125;

/// It asks once a second, and may ask so often.
const MOST_OFTEN: u32 = 5;

/// What serves the page's WebSockets: it answers each message with the tables. So the page asks as
/// often as it wants them, and not while nobody looks at it.
static SERVER: OnceLock<Arc<LoadedPlugin>> = OnceLock::new();

/// The configuration of a WebSocket of the page, where this one holds.
pub(in crate::entry) fn config_for(config: &Config) -> Config {
    let server = SERVER.get_or_init(|| {
        let name = "websocket-status";
        Arc::new(LoadedPlugin::built_in(name, || page::tables(&report())))
    });
    let mut config = Config {
        plugin: Some(Arc::clone(server)),
        section: None,
        max_message_size: Some(LONGEST_MESSAGE),
        ..config.clone()
    };
    // What is open to all pages elsewhere on the server need not be so here: a browser would show
    // the figures to any page, with the rights of the person who uses it.
    if config.origin_policy() == OriginPolicy::Off {
        config.origin_policy = Some(OriginPolicy::Same);
    }
    // An answer takes longer to make than to ask for.
    config.limits.message_rate = Some(
        Rate::new(MOST_OFTEN, Duration::from_secs(1), MOST_OFTEN).map(|rate| MessageRate {
            rate,
            excess: Excess::Waits,
        }),
    );
    config
}
