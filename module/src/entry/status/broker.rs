//! What the processes of this host know of the broker of topics.

use crate::httpd::scoreboard::{Link, Process};

/// The broker, as this host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broker {
    /// Whether the broker's messages come. `None`: no process gets them yet.
    pub(super) is_connected: Option<bool>,
    /// Since when that is so, in seconds since 1970.
    pub(super) since: u64,
    /// So many messages the broker had that this host had not got. `None`: nobody knows.
    pub(super) behind: Option<u64>,
    /// Messages of all processes that wait for the broker.
    pub(super) waiting: u64,
    /// Processes that reach the broker to send messages.
    pub(super) connected: u64,
    /// Processes that do not.
    pub(super) cut: u64,
}

impl Broker {
    /// `None`: no process uses a broker.
    pub(super) fn of(processes: &[Process]) -> Option<Self> {
        let uses = |process: &&Process| [process.sends, process.imports] != [Link::None; 2];
        let users: Vec<_> = processes.iter().filter(uses).collect();
        if users.is_empty() {
            return None;
        }
        // After a restart with another broker there may be one process for each; what is wrong
        // counts for more.
        let find = |link| {
            let found = users.iter().filter(|process| process.imports == link);
            found.map(|process| process.imports_since).max()
        };
        let (cut, connected) = (find(Link::Cut), find(Link::Connected));
        let sending = |link| users.iter().filter(move |process| process.sends == link);
        Some(Self {
            is_connected: cut.map(|_| false).or(connected.map(|_| true)),
            since: cut.or(connected).unwrap_or(0),
            behind: sending(Link::Connected).map(|process| process.behind).max(),
            waiting: users.iter().map(|process| process.waiting).sum(),
            connected: sending(Link::Connected).count() as u64,
            cut: sending(Link::Cut).count() as u64,
        })
    }

    /// The state in one word.
    pub(super) fn word(&self) -> &'static str {
        match self.is_connected {
            None => "connecting",
            Some(true) => "connected",
            Some(false) => "cut",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Broker, Link, Process};

    fn process(sends: Link, imports: Link, [since, behind, waiting]: [u64; 3]) -> Process {
        Process {
            sends,
            imports,
            imports_since: since,
            behind,
            waiting,
            ..Process::default()
        }
    }

    #[test]
    fn without_a_broker_there_is_nothing_to_say() {
        assert_eq!(Broker::of(&[Process::default()]), None);
    }

    #[test]
    fn what_is_wrong_in_one_process_is_told_of_the_host() {
        let good = process(Link::Connected, Link::Connected, [7, 0, 1]);
        let other = process(Link::Connected, Link::None, [0, 5, 2]);
        let bad = process(Link::Cut, Link::Cut, [9, 0, 4]);
        let fine = Broker {
            is_connected: Some(true),
            since: 7,
            behind: Some(5),
            waiting: 3,
            connected: 2,
            cut: 0,
        };
        assert_eq!(Broker::of(&[good, other, Process::default()]), Some(fine));
        let worse = Broker {
            is_connected: Some(false),
            since: 9,
            waiting: 7,
            cut: 1,
            ..fine
        };
        assert_eq!(Broker::of(&[good, other, bad]), Some(worse));
        let alone = Broker::of(&[bad]).unwrap();
        assert_eq!((alone.word(), alone.behind), ("cut", None));
        let beginning = Broker::of(&[other]).unwrap();
        assert_eq!(beginning.word(), "connecting");
    }
}
