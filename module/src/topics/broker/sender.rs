//! Sends what a child has published to the broker.

use std::time::{Duration, Instant};

use super::backlog::measure;
use super::backoff::Backoff;
use super::connection::Connection;
use super::link::Batch;
use super::settings::Settings;
use super::standing;
use crate::httpd::log::{Level, log_server};
use crate::httpd::scoreboard::{Gauge, Link, change_gauge};
use crate::topics::hub::describe;
use crate::topics::log::{Backlog, Log};
use crate::topics::outbox::{Outbox, Sending};
use crate::topics::random::random;

/// So many messages and bytes are sent together.
const MOST: usize = 64;
const MOST_BYTES: usize = 1 << 20;

/// The broker is asked so often for its newest message, which is a sign of life, too.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How often a child looks whether another one of its host listens to the broker.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct Sender<'s> {
    log: &'s Log,
    outbox: &'s Outbox,
    settings: &'s Settings,
    /// Unlike that of any other child of any host.
    name: String,
}

/// What was taken from the outbox and is not confirmed.
struct Unsent {
    messages: Vec<Sending>,
    /// The number of the first of them.
    first: u64,
    /// When they were first sent; `None`: they were not.
    tried: Option<Instant>,
}

impl<'s> Sender<'s> {
    pub(super) fn new(log: &'s Log, outbox: &'s Outbox, settings: &'s Settings) -> Self {
        Self {
            log,
            outbox,
            settings,
            name: format!("{:016x}{:016x}", random(), random()),
        }
    }

    /// Returns when the child ends.
    pub(super) async fn run(&self) {
        tokio::select! {
            () = self.send_all() => {}
            () = self.wait_for_stop() => {}
        }
    }

    /// Waits until the child ends and what it has published may have been sent.
    async fn wait_for_stop(&self) {
        let until = loop {
            match self.outbox.stopping_until() {
                Some(until) => break until,
                None => self.outbox.stopping.notified().await,
            }
        };
        if !self.outbox.is_cut() {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// Returns when the child ends and all is sent, or cannot be.
    async fn send_all(&self) {
        let mut backoff = Backoff::new();
        let mut unsent = Unsent {
            messages: Vec::new(),
            first: 1,
            tried: None,
        };
        loop {
            let why = match self.connect().await {
                Ok(mut broker) => {
                    self.note_connected();
                    backoff = Backoff::new();
                    match self.serve(&mut broker, &mut unsent).await {
                        Ok(()) => return,
                        Err(why) => why,
                    }
                }
                Err(why) => why,
            };
            self.note_cut(&why);
            if self.outbox.is_stopping() {
                return;
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let mut broker = Connection::connect(self.settings).await?;
        self.outbox.set_longest(broker.longest());
        let mut mark = measure(self.log, &mut broker).await?;
        // Nobody on this host could hear what is sent before.
        while !broker.keeps() && mark.backlog != Backlog::Read {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let known = self.log.mark().map_err(|error| describe(&error))?;
            mark = known.unwrap_or_default();
        }
        Ok(broker)
    }

    /// Returns without an error when the child ends and all is sent.
    async fn serve(&self, broker: &mut Connection, unsent: &mut Unsent) -> Result<(), String> {
        self.look(broker).await?;
        let mut looked = Instant::now();
        loop {
            // What was published does not wait for an answer to anything else.
            let has_sent = self.send(broker, unsent).await?;
            if looked.elapsed() >= PING_INTERVAL {
                self.look(broker).await?;
                looked = Instant::now();
            }
            if has_sent {
                continue;
            }
            if self.outbox.is_stopping() {
                return Ok(());
            }
            let news = self.outbox.news.notified();
            // Whichever comes first.
            let _ = tokio::time::timeout(PING_INTERVAL, news).await;
        }
    }

    /// Sends some of what waits. Returns whether there was any.
    async fn send(&self, broker: &mut Connection, unsent: &mut Unsent) -> Result<bool, String> {
        if unsent.messages.is_empty() {
            unsent.messages = self.outbox.take(MOST, MOST_BYTES);
        }
        if unsent.messages.is_empty() {
            return Ok(false);
        }
        let batch = Batch {
            messages: &unsent.messages,
            publisher: &self.name,
            first: unsent.first,
            tried: unsent.tried,
        };
        unsent.tried.get_or_insert_with(Instant::now);
        broker.publish(&batch, self.settings).await?;
        unsent.tried = None;
        unsent.first += unsent.messages.len() as u64;
        let count = i64::try_from(unsent.messages.len()).unwrap_or(i64::MAX);
        change_gauge(Gauge::Waiting, -count);
        unsent.messages.clear();
        Ok(true)
    }

    /// The number of the last message of the broker that this host has got.
    fn imported(&self) -> Result<Option<u64>, String> {
        let mark = self.log.mark().map_err(|error| describe(&error))?;
        Ok(mark.map(|mark| mark.number))
    }

    /// Looks how far this host has come.
    async fn look(&self, broker: &mut Connection) -> Result<(), String> {
        if !broker.keeps() {
            return broker.ping().await;
        }
        let newest = broker.newest().await?.unwrap_or(0);
        let got = self.imported()?.unwrap_or(newest);
        standing::note_behind(newest.saturating_sub(got));
        Ok(())
    }

    fn note_connected(&self) {
        standing::note_sends(Link::Connected);
        let address = &self.settings.address;
        let (level, what) = if self.outbox.set_cut(false) {
            (Level::Warning, "this process reaches the broker again")
        } else {
            (Level::Info, "this process publishes through the broker")
        };
        log_server(level, &format!("topics: {what}: {address}"));
    }

    fn note_cut(&self, why: &str) {
        standing::note_sends(Link::Cut);
        if self.outbox.set_cut(true) {
            let address = &self.settings.address;
            let consequence = self.outbox.partition.consequence();
            let text =
                format!("topics: the broker {address} cannot be reached, {consequence}: {why}");
            log_server(Level::Error, &text);
        }
    }
}
