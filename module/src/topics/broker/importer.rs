//! Brings what comes from the broker into the log of this host.

use std::convert::Infallible;
use std::time::Duration;

use websocket_plugin::abi::host::check_topic;

use super::backlog::measure;
use super::backoff::Backoff;
use super::connection::Connection;
use super::link::Entry;
use super::roster::Roster;
use super::settings::Settings;
use super::standing::note_imports;
use crate::httpd::lease::Lease;
use crate::httpd::log::{Level, log_server};
use crate::httpd::scoreboard::Link;
use crate::topics::hub::{Hub, describe, log_seldom};
use crate::topics::log::{Backlog, Imported, Mark};
use crate::topics::message::{Kind, Message};
use crate::topics::outbox::Outbox;
use crate::topics::report::is_report;

/// How often a child that does not import looks whether it is needed, if it is told of no death.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Importer<'i> {
    hub: &'i Hub,
    outbox: &'i Outbox,
    settings: &'i Settings,
    lease: Lease,
    roster: &'i Roster<'i>,
}

/// What there is to say of a connection to the broker.
struct Catching {
    /// The number of the newest message when the connection was made.
    newest: u64,
    /// How many of these have been read.
    count: usize,
    /// There was a connection before.
    was_cut: bool,
    is_told: bool,
}

impl<'i> Importer<'i> {
    pub(super) fn new(
        hub: &'i Hub,
        outbox: &'i Outbox,
        settings: &'i Settings,
        lease: Lease,
        roster: &'i Roster<'i>,
    ) -> Self {
        Self {
            hub,
            outbox,
            settings,
            lease,
            roster,
        }
    }

    /// Never returns.
    pub(super) async fn run(&self) {
        while !self.lease.take() {
            let deaths = self.outbox.deaths.notified();
            // Whichever comes first.
            let _ = tokio::time::timeout(LOOK_INTERVAL, deaths).await;
        }
        self.roster.take_over();
        let mut backoff = Backoff::new();
        let mut was_cut = false;
        loop {
            let why = match Connection::connect(self.settings).await {
                Ok(mut broker) => {
                    backoff = Backoff::new();
                    let Err(why) = self.follow(&mut broker, &mut was_cut).await;
                    why
                }
                Err(why) => why,
            };
            self.roster.pause();
            if !std::mem::replace(&mut was_cut, true) {
                note_imports(Link::Cut);
                self.log(
                    Level::Error,
                    &format!("nothing comes from it any more: {why}"),
                );
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Returns when the broker cannot be read, or the log cannot be written.
    async fn follow(
        &self,
        broker: &mut Connection,
        was_cut: &mut bool,
    ) -> Result<Infallible, String> {
        let mut mark = measure(&self.hub.log, broker).await?;
        if let Some(place) = broker.listen().await? {
            mark = self.begin_anew(&mark, place)?;
        }
        let mut catching = Catching {
            newest: broker.newest().await?.unwrap_or(0),
            count: 0,
            was_cut: *was_cut,
            is_told: false,
        };
        loop {
            let has_backlog = mark.backlog != Backlog::Read;
            if mark.number >= catching.newest && !has_backlog && !catching.is_told {
                self.tell(&mut catching);
                self.roster.begin();
                *was_cut = false;
            }
            let entries = broker.read(&mark.place, !has_backlog).await?;
            mark = match entries.last() {
                Some(last) => {
                    let backlog = match mark.backlog {
                        Backlog::UpTo(end) if end <= last.number => Backlog::Read,
                        backlog => backlog,
                    };
                    self.import(&mark, last.mark(backlog), &entries)?
                }
                // All is read, whatever numbers the messages have.
                None if has_backlog => {
                    let after = Mark {
                        backlog: Backlog::Read,
                        ..mark.clone()
                    };
                    catching.newest = mark.number;
                    self.import(&mark, after, &[])?
                }
                None => mark,
            };
            let is_message = |entry: &&Entry| {
                !Message::read(&entry.bytes).is_some_and(|message| is_report(&message))
            };
            catching.count += entries.iter().filter(is_message).count();
        }
    }

    /// Notes that what was published before a connection to a broker that keeps nothing may be
    /// missing. Its first message follows this `place`.
    fn begin_anew(&self, before: &Mark, place: &str) -> Result<Mark, String> {
        let text = if before.backlog == Backlog::Read {
            "messages may be missing, as this NATS server has no JetStream to keep them: histories \
             begin anew, and subscribers are closed with 1013"
        } else {
            "this NATS server has no JetStream: each host has histories of its own, and messages \
             that are published while it is cut off are lost to it"
        };
        self.log(Level::Warning, text);
        let after = Mark {
            place: place.into(),
            number: 0,
            backlog: Backlog::Read,
        };
        self.add(before, after, &[], true)
    }

    /// Adds messages to the log and delivers them. Returns how far that has come.
    fn import(&self, before: &Mark, after: Mark, entries: &[Entry]) -> Result<Mark, String> {
        let has_gap = before.has_gap(entries.iter().map(|entry| entry.number));
        if has_gap {
            self.log(
                Level::Error,
                "messages are missing, as it has kept too few of them or lost some: histories \
                 begin anew, and subscribers are closed with 1013",
            );
        }
        let read = entries.iter().filter_map(|entry| {
            let is_old = matches!(before.backlog, Backlog::UpTo(end) if entry.number <= end);
            self.read(entry, is_old)
        });
        let messages: Vec<_> = read.collect();
        let mark = self.add(before, after, &messages, has_gap)?;
        self.hear_reports(entries);
        Ok(mark)
    }

    fn hear_reports(&self, entries: &[Entry]) {
        for entry in entries {
            if let Some(message) = Message::read(&entry.bytes).filter(is_report) {
                self.roster.hear(message.payload);
            }
        }
    }

    fn add(
        &self,
        before: &Mark,
        after: Mark,
        messages: &[Imported<'_>],
        has_gap: bool,
    ) -> Result<Mark, String> {
        let imported = self.hub.import((before, &after), messages, has_gap);
        match imported.map_err(|error| describe(&error))? {
            true => Ok(after),
            false => Err("another process of this host has read it, too".into()),
        }
    }

    /// `None` if this host cannot use it.
    fn read<'e>(&self, entry: &'e Entry, is_old: bool) -> Option<Imported<'e>> {
        let is_text = |message: &Message<'_>| match message.kind {
            Kind::Text | Kind::Json => str::from_utf8(message.payload).is_ok(),
            Kind::Binary => true,
            // Hosts tell each other by reports.
            Kind::Presence => false,
        };
        if Message::read(&entry.bytes).is_some_and(|message| is_report(&message)) {
            return None;
        }
        let leave_out = |why: &str| {
            log_seldom(&format!(
                "topics: a message of the broker is left out: {why}"
            ));
        };
        let message = Message::read(&entry.bytes)
            .filter(|message| check_topic(message.topic).is_ok() && is_text(message));
        let Some(message) = message else {
            leave_out("it is not one of mod_websocket");
            return None;
        };
        let is_left_out = !self.hub.log.has_room_for(message.payload.len());
        if is_left_out {
            leave_out("it is too long for WebSocketTopicMemory of this host");
        }
        Some(Imported {
            message,
            counted: entry.counted,
            at: entry.at,
            is_old,
            is_left_out,
        })
    }

    fn tell(&self, catching: &mut Catching) {
        catching.is_told = true;
        note_imports(Link::Connected);
        if catching.was_cut {
            let count = catching.count;
            let text = format!("this host gets its messages again; {count} came meanwhile");
            self.log(Level::Warning, &text);
        } else {
            self.log(Level::Info, "this process gets its messages for this host");
        }
    }

    fn log(&self, level: Level, text: &str) {
        log_server(
            level,
            &format!("topics: broker {}: {text}", self.settings.address),
        );
    }
}

impl Entry {
    /// How far a host has come that has read it.
    fn mark(&self, backlog: Backlog) -> Mark {
        Mark {
            place: self.place.clone(),
            number: self.number,
            backlog,
        }
    }
}
