//! The one [`Hub`] of this child, from its first use to the end of the child.

use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::{Duration, Instant};

use super::broker;
use super::delivery::Delivery;
use super::error::TopicError;
use super::hub::{Hub, describe, log_seldom};
use super::lock::lock;
use super::log::{ChildId, Log, LogError};
use super::outbox::{Outbox, Partition};
use super::presence::Presence;
use super::rules::{Rules, SpaceRules};
use super::space::SpaceId;
use super::tail;
use super::waiter::Waiter;
use crate::httpd::commons::{self, Commons};
use crate::httpd::generation;

/// What the administrator has set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The spaces of all servers and virtual hosts, each once.
    pub spaces: Vec<SpaceId>,
    /// The rules for their topics.
    pub rules: Vec<(SpaceId, SpaceRules)>,
    /// The broker, if there are other hosts.
    pub broker: Option<Arc<broker::Settings>>,
    /// What becomes of messages while it cannot be reached.
    pub partition: Partition,
}

/// Set by the parent process, before it forks.
static SETTINGS: Mutex<Option<Settings>> = Mutex::new(None);

/// Made when the child first uses topics.
static HUB: OnceLock<Hub> = OnceLock::new();

/// Held by whoever makes it: since when that has not worked.
static MAKING: Mutex<Option<Instant>> = Mutex::new(None);

/// What waits for a broker in one child takes as much memory as this part of the log, at most.
const PARTS_OF_OUTBOX: usize = 8;

/// After a failure nobody tries again for so long.
const PAUSE: Duration = Duration::from_secs(5);

/// Says what the administrator has set. For the parent process.
pub fn configure(settings: Settings) {
    *lock(&SETTINGS) = Some(settings);
}

/// Ends what goes on for topics, and waits for that. The child ends. A broker gets so much time to
/// take what was published.
pub fn stop(patience: Duration) {
    // Whoever makes it has finished, and nobody makes it any more.
    let making = lock(&MAKING);
    *lock(&SETTINGS) = None;
    drop(making);
    if let Some(hub) = HUB.get() {
        if let Some(outbox) = &hub.outbox {
            broker::stop(outbox, patience);
        }
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
    let (hub, brokerage) = open().map_err(|why| {
        *failed = Some(Instant::now());
        log_seldom(&format!("topics do not work: {why}"));
        TopicError::Unavailable
    })?;
    let hub = HUB.get_or_init(|| hub);
    hub.waiter.start(move || tail::run(hub));
    if let (Some(outbox), Some((settings, lease))) = (&hub.outbox, brokerage) {
        broker::start(hub, outbox, settings, lease);
    }
    Ok(hub)
}

/// What the thread of the broker needs.
type Brokerage = (Arc<broker::Settings>, broker::Lease);

fn open() -> Result<(Hub, Option<Brokerage>), String> {
    if !generation::is_child() {
        return Err("they work in the processes that serve connections only".into());
    }
    let commons = commons::get().ok_or("httpd could not make what its processes share")?;
    let settings = lock(&SETTINGS).clone();
    let settings = settings.ok_or("this process is ending")?;
    let opened = open_log(commons, settings.broker.as_ref());
    let (log, newest, brokerage) = opened.map_err(|error| describe(&error))?;
    // Nobody makes another one.
    let _ = lock(&SETTINGS).take();
    let outbox = settings
        .broker
        .map(|_| Outbox::new(commons.size / PARTS_OF_OUTBOX, settings.partition));
    let salt = match &brokerage {
        Some(_) => log.own_host().map_err(|error| describe(&error))?.0.number(),
        None => 0,
    };
    let hub = Hub {
        salt,
        log,
        commons,
        rules: Rules(settings.rules),
        spaces: settings.spaces,
        child: ChildId::own(commons.take_number()),
        rooms: RwLock::default(),
        delivery: Delivery::new(newest),
        presence: Presence::default(),
        waiter: Waiter::default(),
        outbox,
    };
    Ok((hub, brokerage))
}

fn open_log(
    commons: &Commons,
    broker: Option<&Arc<broker::Settings>>,
) -> Result<(Log, u64, Option<Brokerage>), LogError> {
    let mut log = Log::open(&commons.directory, commons.size)?;
    let mut brokerage = None;
    if let Some(broker) = broker {
        log.set_source(broker.source());
        let lease = broker.lease(commons);
        broker::prepare(&log, &lease, commons.is_alone())?;
        brokerage = Some((Arc::clone(broker), lease));
    } else if commons.is_alone() {
        // A broker was removed: nobody tells of its hosts any more.
        log.remove_silent_hosts(u64::MAX)?;
    }
    let newest = log.newest()?;
    Ok((log, newest, brokerage))
}
