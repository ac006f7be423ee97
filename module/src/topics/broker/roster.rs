//! Tells other hosts who is on topics here, and hears it of them.
//!
//! The child that imports does this for its host, at most once a second. What it tells is numbered.
//! A host that begins, or sees that a number is missing, asks the others for all that they have.

mod wholes;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use websocket_plugin::abi::host::check_topic;

use crate::httpd::guard::guard;
use crate::topics::hub::{Hub, log_seldom};
use crate::topics::lock::lock;
use crate::topics::log::{Change, HostId, LogError, Untold, now};
use crate::topics::outbox::{Outbox, Refusal, Sending};
use crate::topics::report::{Report, Told, What};
use wholes::{Joined, Part, Wholes};

/// Changes are told together after so long.
const INTERVAL: Duration = Duration::from_secs(1);

/// A host that has nothing to tell says so often that it is there.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A host that was not heard of for so long is gone, with all who were on it.
const LIFE: Duration = Duration::from_secs(50);

/// A host asks for the whole, and tells it, not more often than this.
const WHOLE_INTERVAL: Duration = Duration::from_secs(3);

/// A report tells of about so many bytes in the log at most.
const MOST_BYTES: usize = 12 * 1024;

/// And of one part of so many of the longest message that the broker takes: JSON is longer.
const PARTS_OF_LONGEST: usize = 4;

/// So many reports of changes are sent at a time.
const MOST_REPORTS: usize = 64;

/// While the broker is slow, a part of a whole waits so long before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Roster<'r> {
    hub: &'r Hub,
    outbox: &'r Outbox,
    state: Mutex<State>,
    /// There is something to do at once.
    news: Notify,
}

struct State {
    /// This child imports for its host.
    imports: bool,
    /// It has read all that there was when it connected to the broker.
    is_active: bool,
    /// This host is to ask others for the whole.
    asks: bool,
    /// This host is to tell the whole.
    is_asked: bool,
    last_asked: Option<Instant>,
    last_whole: Option<Instant>,
    last_told: Option<Instant>,
    wholes: Wholes,
}

impl<'r> Roster<'r> {
    pub(super) fn new(hub: &'r Hub, outbox: &'r Outbox) -> Self {
        let state = State {
            imports: false,
            is_active: false,
            asks: false,
            is_asked: false,
            last_asked: None,
            last_whole: None,
            last_told: None,
            // This host could not write more into its log.
            wholes: Wholes::new(hub.commons.size),
        };
        Self {
            hub,
            outbox,
            state: Mutex::new(state),
            news: Notify::new(),
        }
    }

    /// This child imports from now on.
    pub(super) fn take_over(&self) {
        lock(&self.state).imports = true;
    }

    /// What is read from the broker from now on is new. Hosts may have come and gone before, and
    /// reports of this host may be lost: so it asks the others for the whole, and tells its own.
    pub(super) fn begin(&self) {
        let mut state = lock(&self.state);
        state.is_active = true;
        state.asks = true;
        state.is_asked = true;
        state.last_asked = None;
        drop(state);
        self.news.notify_one();
    }

    /// Nothing comes from the broker any more.
    pub(super) fn pause(&self) {
        let mut state = lock(&self.state);
        state.is_active = false;
        state.wholes.clear();
    }

    /// Never returns.
    pub(super) async fn run(&self) {
        loop {
            // Whichever comes first.
            let _ = tokio::time::timeout(INTERVAL, self.news.notified()).await;
            let (imports, is_active) = {
                let state = lock(&self.state);
                (state.imports, state.is_active)
            };
            if is_active && let Err(error) = self.tell().await {
                // The error log knows.
                let _ = Hub::failed(&error);
            }
            // Also while this host is cut off: it hears of nobody then.
            if imports {
                guard("hosts that are gone", (), || self.remove_silent());
            }
        }
    }

    async fn tell(&self) -> Result<(), LogError> {
        if self.outbox.is_cut() {
            return Ok(());
        }
        let (host, number) = self.hub.log.own_host()?;
        if self.take_turn(|state| (&mut state.asks, &mut state.last_asked)) {
            let sent = self.send(host, number, What::Ask, Vec::new());
            lock(&self.state).asks |= sent.is_err();
        }
        if self.take_turn(|state| (&mut state.is_asked, &mut state.last_whole)) {
            self.tell_whole(host).await?;
        }
        for _ in 0..MOST_REPORTS {
            let untold = self
                .hub
                .log
                .take_untold(self.hub.child, self.most_bytes())?;
            let Some(Untold { number, changes }) = untold else {
                break;
            };
            // If it cannot be sent, others see that its number is missing.
            let _ = self.send(host, number, What::Changes, changes);
        }
        let last_told = lock(&self.state).last_told;
        if last_told.is_none_or(|told| told.elapsed() >= ALIVE_INTERVAL) {
            let (_, number) = self.hub.log.own_host()?;
            let _ = self.send(host, number, What::Alive, Vec::new());
        }
        Ok(())
    }

    /// Whether something is to be done, and was not done lately. It is noted as done then.
    fn take_turn(&self, of: impl Fn(&mut State) -> (&mut bool, &mut Option<Instant>)) -> bool {
        let mut state = lock(&self.state);
        let (is_wanted, last) = of(&mut state);
        if !*is_wanted || last.is_some_and(|last| last.elapsed() < WHOLE_INTERVAL) {
            return false;
        }
        *is_wanted = false;
        *last = Some(Instant::now());
        true
    }

    fn most_bytes(&self) -> usize {
        MOST_BYTES.min(self.outbox.longest() / PARTS_OF_LONGEST)
    }

    async fn tell_whole(&self, host: HostId) -> Result<(), LogError> {
        let parts = self.hub.log.take_whole(self.hub.child, self.most_bytes())?;
        let end = parts.len().saturating_sub(1);
        for (index, Untold { number, changes }) in parts.into_iter().enumerate() {
            let what = What::Whole {
                is_first: index == 0,
                is_last: index == end,
            };
            while self.send(host, number, what, changes.clone()) == Err(Refusal::Full) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    fn send(
        &self,
        host: HostId,
        number: u64,
        what: What,
        changes: Vec<Change>,
    ) -> Result<(), Refusal> {
        let report = Report {
            host,
            number,
            what,
            topics: changes.into_iter().map(Told::from).collect(),
        };
        self.outbox.put(Sending {
            counter: None,
            bytes: report.write(),
        })?;
        lock(&self.state).last_told = Some(Instant::now());
        Ok(())
    }

    /// Takes a report that has come from the broker.
    pub(super) fn hear(&self, payload: &[u8]) {
        // What came before this host has asked for the whole tells nothing of now.
        if !lock(&self.state).is_active {
            return;
        }
        let Some(report) = Report::read(payload) else {
            return log_seldom("topics: a report of another host is left out: it has another form");
        };
        if let Err(error) = self.hear_report(report, payload.len()) {
            let _ = Hub::failed(&error);
        }
    }

    fn hear_report(&self, report: Report, bytes: usize) -> Result<(), LogError> {
        let Report {
            host,
            number,
            what,
            topics,
        } = report;
        if host == self.hub.log.own_host()?.0 {
            return Ok(());
        }
        let topics = topics.into_iter();
        let checked = topics.filter(|told| check_topic(&told.topic).is_ok());
        let changes: Vec<_> = checked.map(Change::from).collect();
        match what {
            What::Ask => {
                lock(&self.state).is_asked = true;
                self.news.notify_one();
                Ok(())
            }
            What::Whole { is_first, is_last } => self.hear_whole(Part {
                host,
                number,
                is_first,
                is_last,
                changes,
                bytes,
            }),
            What::Changes | What::Alive => self.hear_changes((host, number), what, changes),
        }
    }

    fn hear_changes(
        &self,
        (host, number): (HostId, u64),
        what: What,
        changes: Vec<Change>,
    ) -> Result<(), LogError> {
        match self.hub.log.last_report(host)? {
            Some(last) if what == What::Changes && last.checked_add(1) == Some(number) => {
                let news = self.hub.log.hear((host, number), changes, false)?;
                self.hub.tell_changes(&news);
                Ok(())
            }
            // This host knows all that the other one has told.
            Some(last) if number <= last => self.hub.log.note_report(host, last),
            _ => {
                lock(&self.state).asks = true;
                Ok(())
            }
        }
    }

    fn hear_whole(&self, part: Part) -> Result<(), LogError> {
        let (host, number) = (part.host, part.number);
        let mut state = lock(&self.state);
        let all = match state.wholes.join(part) {
            Joined::Whole(all) => all,
            Joined::Part => return Ok(()),
            Joined::Torn => {
                state.asks = true;
                return Ok(());
            }
            Joined::TooLarge => {
                log_seldom(
                    "topics: another host has more subscribers than WebSocketTopicMemory of this \
                     host has room for: this host does not count them",
                );
                // To ask again would bring as much.
                Vec::new()
            }
        };
        drop(state);
        let news = self.hub.log.hear((host, number), all, true)?;
        self.hub.tell_changes(&news);
        Ok(())
    }

    fn remove_silent(&self) {
        let life = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
        match self.hub.log.remove_silent_hosts(now().saturating_sub(life)) {
            Ok(left) => self.hub.tell_left(left),
            Err(error) => {
                let _ = Hub::failed(&error);
            }
        }
    }
}
