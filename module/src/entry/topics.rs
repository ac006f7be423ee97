//! Prepares topics when the whole configuration has been read.

#![allow(unsafe_code)]

use std::path::Path;

use super::config::{self, Config};
use crate::httpd::commons::{self, Kept, Wanted};
use crate::httpd::log::{Level, log_server};
use crate::httpd::pool::Pool;
use crate::httpd::request::{Request, virtual_host};
use crate::httpd::{state, sys};
use crate::topics::{self, Settings, SpaceId};

/// The space of the topics of a request's server.
pub(super) fn space_of(request: &Request, config: &Config) -> SpaceId {
    let own = || SpaceId::of_host(&request.virtual_host().unwrap_or_default());
    config.topics().space().unwrap_or_else(own)
}

/// The space of a server's topics.
///
/// # Safety
///
/// `server` is live, and so is its configuration.
unsafe fn space_of_server(server: *const sys::server_rec) -> SpaceId {
    // SAFETY: the caller vouches for the server.
    unsafe {
        let config = config::in_vector((*server).lookup_defaults);
        let own = || SpaceId::of_host(&virtual_host(server).unwrap_or_default());
        config.topics().space().unwrap_or_else(own)
    }
}

/// Prepares what the child processes share for topics.
///
/// # Safety
///
/// This is the parent process, without other threads. `configuration` is the pool of the
/// configuration, and `main` is httpd's main server.
pub(super) unsafe fn prepare(configuration: Pool, main: *const sys::server_rec) {
    if state::is_rehearsal() {
        // httpd may go into the background, with another process id, before it reads its
        // configuration again.
        return;
    }
    let mut settings = Settings::default();
    let mut server = main;
    // SAFETY: the caller vouches for the main server. The others follow it.
    let main_config = unsafe {
        while let Some(current) = server.as_ref() {
            let space = space_of_server(server);
            let rules = config::in_vector(current.lookup_defaults).topics().rules();
            if !settings.spaces.contains(&space) {
                settings.spaces.push(space);
            }
            settings.rules.push((space, rules));
            server = current.next;
        }
        config::in_vector((*main).lookup_defaults).topics()
    };
    settings.broker = main_config.broker();
    settings.partition = main_config.partition();
    topics::configure(settings);
    let wanted = Wanted {
        path: main_config.store(),
        size: main_config.memory(),
    };
    // SAFETY: the caller vouches for all of it.
    match unsafe { commons::share(configuration, main, wanted) } {
        Ok(Kept::AsWanted) => {}
        Ok(Kept::Other) => log_server(
            Level::Warning,
            "a change of WebSocketTopicStore or WebSocketTopicMemory takes effect when httpd is \
             stopped and started: old and new processes need the same",
        ),
        Err(error) => {
            let named = |path: &Path| format!(" (WebSocketTopicStore {})", path.display());
            let place = wanted.path.map_or_else(String::new, named);
            let text = format!("topics will not work{place}: {error}");
            log_server(Level::Warning, &text);
        }
    }
}
