//! Topics between hosts: what one publishes comes to the others through a broker.
//!
//! ```text
//!   publish -> Outbox -> Sender --> broker --> Importer of each host -> Log -> all children
//! ```
//!
//! With a broker nothing goes into the log but what comes from it, what this host publishes, too:
//! so the broker's order is that of all hosts. Each child that uses topics has one thread
//! (`ws-broker`), which sends what the child publishes. One child of a host at a time imports,
//! by a lock that the kernel takes from it when it ends. How far it has come lies in the log and is
//! written together with the messages, so none comes twice, whoever goes on.
//!
//! A message that was sent and not confirmed is sent again after a cut; the broker knows it by the
//! number that its child has given to it.

mod address;
mod backlog;
mod backoff;
mod connection;
mod credentials;
mod importer;
mod link;
mod nats;
mod redis;
mod roster;
mod sender;
mod settings;
mod standing;

use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::hub::Hub;
use super::lock::lock;
use super::log::{Log, LogError};
use super::outbox::Outbox;
use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::scoreboard::Link;
use crate::httpd::thread::spawn_lasting;

pub(super) use crate::httpd::lease::Lease;
pub use address::Address;
pub use credentials::Credentials;
use importer::Importer;
use roster::Roster;
use sender::Sender;
pub use settings::{DEFAULT_KEEP, Settings};

/// Prepares the log of a child that begins to use topics. If nobody on this host has imported for
/// a time, what was published meanwhile is old: it belongs into histories, and is not sent to those
/// who subscribe from now on. Until then nobody can be told what it has missed.
pub(super) fn prepare(log: &Log, lease: &Lease, is_alone: bool) -> Result<(), LogError> {
    if (is_alone || log.mark()?.is_none()) && lease.take() {
        log.begin_backlog()?;
        // Whoever was there on other hosts may be gone.
        log.remove_silent_hosts(u64::MAX)?;
    }
    Ok(())
}

/// The thread of this child.
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

/// Starts the thread.
pub(super) fn start(
    hub: &'static Hub,
    outbox: &'static Outbox,
    settings: Arc<Settings>,
    lease: Lease,
) {
    let body = move || guard("the broker", (), || run(hub, outbox, &settings, lease));
    match spawn_lasting(Builder::new().name("ws-broker".into()), body) {
        Ok(thread) => *lock(&THREAD) = Some(thread),
        Err(error) => {
            outbox.set_cut(true);
            standing::note_sends(Link::Cut);
            let text = format!("this process cannot use the broker: no thread: {error}");
            log_server(Level::Error, &text);
        }
    }
}

/// Ends the thread and waits for it. What was published is sent before, if the broker answers.
pub(super) fn stop(outbox: &Outbox, patience: Duration) {
    outbox.stop(patience);
    let thread = lock(&THREAD).take();
    if let Some(thread) = thread {
        // It only fails if the thread panicked, and then it has ended too.
        let _ = thread.join();
    }
}

fn run(hub: &Hub, outbox: &Outbox, settings: &Settings, lease: Lease) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            outbox.set_cut(true);
            standing::note_sends(Link::Cut);
            let text = format!("this process cannot use the broker: {error}");
            return log_server(Level::Error, &text);
        }
    };
    let sender = Sender::new(&hub.log, outbox, settings);
    let roster = Roster::new(hub, outbox);
    let importer = Importer::new(hub, outbox, settings, lease, &roster);
    runtime.block_on(async {
        // The sender returns when the child ends.
        tokio::select! {
            biased;
            () = sender.run() => {}
            () = importer.run() => {}
            () = roster.run() => {}
        }
    });
    standing::note_sends(Link::None);
    standing::note_imports(Link::None);
    // A name that is being looked up does not keep the child.
    runtime.shutdown_background();
}
