//! The one [`Hub`] of this child, from its first use to the end of the child.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

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
    /// The spaces of all servers and virtual hosts, each once.
    pub spaces: Vec<SpaceId>,
    /// The rules for their topics.
    pub rules: Vec<(SpaceId, SpaceRules)>,
}

/// Set by the parent process, before it forks.
static SETTINGS: Mutex<Option<Settings>> = Mutex::new(None);

/// Made when the child first uses topics.
static HUB: OnceLock<Hub> = OnceLock::new();

/// Held by whoever makes it: since when that has not worked.
static MAKING: Mutex<Option<Instant>> = Mutex::new(None);

/// After a failure nobody tries again for so long.
const PAUSE: Duration = Duration::from_secs(5);

/// Says what the administrator has set. For the parent process.
pub fn configure(settings: Settings) {
    *lock(&SETTINGS) = Some(settings);
}

/// Ends what goes on for topics, and waits for that. The child ends.
pub fn stop() {
    // Whoever makes it has finished, and nobody makes it any more.
    let making = lock(&MAKING);
    *lock(&SETTINGS) = None;
    drop(making);
    if let Some(hub) = HUB.get() {
        hub.waiter.stop(hub.commons);
    }
}

/// Nothing is delivered any more. Only sets a flag, so that a signal handler may call it.
pub fn disable() {
    if let Some(hub) = HUB.get() {
        hub.waiter.disable();
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
    let mut failed = lock(&MAKING);
    if let Some(hub) = HUB.get() {
        return Ok(hub);
    }
    if failed.is_some_and(|since| since.elapsed() < PAUSE) {
        return Err(TopicError::Unavailable);
    }
    let hub = open().map_err(|why| {
        *failed = Some(Instant::now());
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
    if lock(&SETTINGS).is_none() {
        return Err("this process is ending".into());
    }
    let log = Log::open(&commons.directory, commons.size);
    let opened = log.and_then(|log| Ok((log.newest()?, log)));
    let (newest, log) = opened.map_err(|error| describe(&error))?;
    let Settings { spaces, rules } = lock(&SETTINGS).take().unwrap_or_default();
    Ok(Hub {
        log,
        commons,
        rules: Rules(rules),
        spaces,
        child: ChildId::own(commons.take_number()),
        rooms: RwLock::default(),
        delivery: Delivery::new(newest),
        presence: Presence::default(),
        waiter: Waiter::default(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
