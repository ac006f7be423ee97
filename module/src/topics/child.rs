//! The one [`Hub`] of this child, from its first use to the end of the child.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use super::delivery::Delivery;
use super::error::TopicError;
use super::hub::{Hub, describe, log_seldom};
use super::log::{ChildId, Log};
use super::presence::Presence;
use super::rules::{Rules, SpaceRules};
use super::space::SpaceId;
use super::tail;
use super::waiter::Waiter;
use crate::httpd::commons;
use crate::httpd::generation;

/// What the administrator has set.
#[derive(Debug, Default)]
pub struct Settings {
    /// Bytes of the log.
    pub memory: usize,
    /// The spaces of all servers and virtual hosts, each once.
    pub spaces: Vec<SpaceId>,
    /// The rules for their topics.
    pub rules: Vec<(SpaceId, SpaceRules)>,
}

/// Set by the parent process, before it forks.
static SETTINGS: Mutex<Option<Settings>> = Mutex::new(None);

/// Made when the child first uses topics.
static HUB: OnceLock<Hub> = OnceLock::new();

/// Held by whoever makes it.
static MAKING: Mutex<()> = Mutex::new(());

/// Says what the administrator has set. For the parent process.
pub fn configure(settings: Settings) {
    *lock(&SETTINGS) = Some(settings);
}

/// Ends what goes on for topics, and waits for that. The child ends.
pub fn stop() {
    // Whoever makes it has finished, and nobody makes it any more.
    *lock(&SETTINGS) = None;
    drop(lock(&MAKING));
    if let Some(hub) = HUB.get() {
        hub.waiter.stop(hub.commons);
    }
}

/// The topics of this child, which begin with the first use.
pub(super) fn hub() -> Result<&'static Hub, TopicError> {
    match HUB.get() {
        Some(hub) => Ok(hub),
        None => make(),
    }
}

#[cold]
fn make() -> Result<&'static Hub, TopicError> {
    let _making = lock(&MAKING);
    if let Some(hub) = HUB.get() {
        return Ok(hub);
    }
    let hub = open().map_err(|why| {
        log_seldom(&format!("topics do not work: {why}"));
        TopicError::Unavailable
    })?;
    let hub = HUB.get_or_init(|| hub);
    hub.waiter.start(move || tail::run(hub));
    Ok(hub)
}

fn open() -> Result<Hub, String> {
    if !generation::is_child() {
        return Err("they work in the processes that serve connections only".into());
    }
    let commons = commons::get().ok_or("httpd could not make what its processes share")?;
    let settings = lock(&SETTINGS).take();
    let settings = settings.ok_or("this process is ending")?;
    let Settings {
        memory,
        spaces,
        rules,
    } = settings;
    let log = Log::open(&commons.directory, memory);
    let opened = log.and_then(|log| Ok((log.newest()?, log)));
    let (newest, log) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            // The next one may have more luck.
            *lock(&SETTINGS) = Some(Settings {
                memory,
                spaces,
                rules,
            });
            return Err(describe(&error));
        }
    };
    Ok(Hub {
        log,
        commons,
        rules: Rules(rules),
        spaces,
        child: ChildId::own(),
        rooms: RwLock::default(),
        delivery: Delivery::new(newest),
        presence: Presence::default(),
        waiter: Waiter::default(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
