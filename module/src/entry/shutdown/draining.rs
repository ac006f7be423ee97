//! Ends the connections of a child process that stops gracefully, and then the child itself.
//!
//! A thread closes each connection when it is due. Now and then it checks the state of httpd,
//! because httpd tells an ending child nothing more: httpd may stop, may want the child to end at
//! once, or may lack a place for new children.
//!
//! The child ends with its last connection (event.c, `listener_thread`). If a plugin hangs in a
//! callback, that connection never ends. So the thread ends the process when only such connections
//! are left.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cause::{code, code_at_once};
use super::deadline;
use super::watch::{Over, Watch};
use crate::entry::config;
use crate::httpd::log::{Level, log_server};
use crate::httpd::{generation, mpm, slots};
use crate::plugin;
use crate::reactor::Reactor;
use crate::registry::{self, Left};

/// How often the thread checks the state of httpd.
const INTERVAL: Duration = Duration::from_millis(250);

/// Connections due within this time are closed together, so that the thread wakes up less often.
const TOGETHER: Duration = Duration::from_millis(10);

/// How long the thread waits for a sign of why the child ends: httpd stops, or no longer needs the
/// child.
const TOLD_APART_AFTER: Duration = Duration::from_millis(200);

/// How long clients may take to answer the last close frames.
const POLITENESS: Duration = Duration::from_secs(3);

/// How long connections may take to end when the server does not wait for their clients.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long places for children have to be short before that counts: the parent looks once a
/// second.
const SHORT_FOR: Duration = Duration::from_secs(1);

/// How long before its limit a graceful stop is to be over.
const RESERVE: Duration = Duration::from_secs(2);

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Begins the graceful stop, unless it has begun.
///
/// # Errors
///
/// When the process can have no more threads.
pub(super) fn begin() -> io::Result<()> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if watch.is_none() {
        let began = Instant::now();
        let count = registry::drain(config::drain_rate());
        *watch = Some(Watch::start("ws-drain", move |over| drain(over, began))?);
        if count > 0 {
            let text = format!(
                "this process is ending; its {count} WebSockets stay open for now \
                 (WebSocketDrainTime)"
            );
            log_server(Level::Info, &text);
        }
    }
    Ok(())
}

/// Whether the thread runs.
pub(super) fn is_running() -> bool {
    WATCH
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some()
}

/// Ends the thread and waits for it.
pub(super) fn stop() {
    let watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(watch) = watch {
        watch.end();
    }
}

fn drain(over: &Over, began: Instant) {
    while !is_told_apart() && began.elapsed() < TOLD_APART_AFTER {
        if over.wait(TOLD_APART_AFTER / 20) {
            return;
        }
    }
    let mut drain = Drain::default();
    let mut look_at = Instant::now();
    loop {
        if look_at <= Instant::now() {
            drain.look_around();
            drain.look_after();
            look_at = Instant::now() + INTERVAL;
        }
        let due = registry::close_due(code());
        let now = Instant::now();
        let next = due.map_or(look_at, |due| due.max(now + TOGETHER).min(look_at));
        if over.wait(next.saturating_duration_since(now)) {
            return;
        }
    }
}

fn is_told_apart() -> bool {
    generation::is_superseded() || generation::is_stopping()
}

/// What the thread has found out and done.
#[derive(Default)]
struct Drain {
    is_limited: bool,
    is_hurried: bool,
    short_since: Option<Instant>,
    is_hard: bool,
    /// What was left at the last check, and since when.
    left: Option<(Left, Instant)>,
}

impl Drain {
    /// Checks the state of httpd, which tells the child nothing.
    fn look_around(&mut self) {
        if !self.is_limited && generation::is_stopping() {
            self.is_limited = true;
            if let Some(limit) = mpm::graceful_stop_limit() {
                registry::limit(limit - RESERVE.min(limit / 4));
            }
        }
        if !self.is_hurried && self.is_place_needed() {
            self.is_hurried = true;
            hurry();
        }
        if !self.is_hard && generation::is_hard() && slots::is_nobody_serving() {
            self.is_hard = true;
            deadline::begin();
            registry::shut_down(code_at_once());
            plugin::end_handshakes();
        }
    }

    /// Whether places for children have been short for a while. Several restarts in a row fill all
    /// places for a moment.
    fn is_place_needed(&mut self) -> bool {
        if !slots::are_short() {
            self.short_since = None;
            return false;
        }
        let since = self.short_since.get_or_insert_with(Instant::now);
        since.elapsed() >= SHORT_FOR
    }

    /// Hurries connections that were told to end and do not. If none of those that leave has ended
    /// for a while, all of them wait for a callback.
    fn look_after(&mut self) {
        let left = registry::left();
        let since = match self.left {
            Some((before, since)) if before == left => since,
            _ => Instant::now(),
        };
        self.left = Some((left, since));
        match left {
            Left::Told if since.elapsed() >= POLITENESS => registry::hurry_told(code()),
            Left::Leaving(_) if since.elapsed() >= PATIENCE && is_all_idle() => leave(),
            _ => {}
        }
    }
}

/// Whether no thread serves a request, or waits for the answer to a handshake.
fn is_all_idle() -> bool {
    mpm::is_child_idle() && !Reactor::has_handshakes()
}

fn hurry() {
    let count = registry::hurry();
    if count > 0 {
        let text = format!(
            "httpd has no place left for new processes (ServerLimit); this one, which is ending, \
             closes its {count} WebSockets before WebSocketDrainTime is over"
        );
        log_server(Level::Warning, &text);
    }
}

/// Ends the process although a callback is stuck.
pub(in crate::entry) fn leave() -> ! {
    log_server(
        Level::Warning,
        "a callback of a plugin is stuck; the process ends without it",
    );
    // SAFETY: this ends the process and runs nothing, so the stuck callback cannot find anything
    // gone.
    unsafe { libc::_exit(0) }
}
