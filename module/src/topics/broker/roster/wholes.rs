//! The parts of what other hosts tell when they tell all.

use std::collections::HashMap;

use crate::topics::log::{Change, HostId};

/// Parts that have come of each host.
pub(super) struct Wholes {
    parts: HashMap<HostId, Parts>,
    /// The parts of one host may have so many bytes together.
    most_bytes: usize,
}

/// What has come of one host.
struct Parts {
    /// The number of the last part.
    last: u64,
    changes: Vec<Change>,
    bytes: usize,
}

/// A part of a whole.
pub(super) struct Part {
    pub(super) host: HostId,
    pub(super) number: u64,
    pub(super) is_first: bool,
    pub(super) is_last: bool,
    pub(super) changes: Vec<Change>,
    /// How many bytes it had on its way.
    pub(super) bytes: usize,
}

/// What a host has told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// There are more parts to come.
    Part,
    /// All that it has.
    Whole(Vec<Change>),
    /// The part before this one is missing.
    Torn,
    /// This host has no room for so much.
    TooLarge,
}

impl Wholes {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            parts: HashMap::new(),
            most_bytes,
        }
    }

    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }

    /// Adds a part to those before.
    pub(super) fn join(&mut self, part: Part) -> Joined {
        let Part { host, number, .. } = part;
        let before = self.parts.remove(&host);
        let mut parts = match before {
            _ if part.is_first => Parts {
                last: number,
                changes: Vec::new(),
                bytes: 0,
            },
            Some(parts) if parts.last.checked_add(1) == Some(number) => parts,
            _ => return Joined::Torn,
        };
        parts.bytes = parts.bytes.saturating_add(part.bytes);
        if parts.bytes > self.most_bytes {
            return Joined::TooLarge;
        }
        parts.last = number;
        parts.changes.extend(part.changes);
        if part.is_last {
            return Joined::Whole(parts.changes);
        }
        self.parts.insert(host, parts);
        Joined::Part
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, HostId, Joined, Part, Wholes};
    use crate::topics::space::SpaceId;

    fn change(topic: &str) -> Change {
        Change {
            space: SpaceId::named(b"s"),
            topic: topic.into(),
            count: 1,
            joined: Vec::new(),
            left: Vec::new(),
        }
    }

    fn part(host: HostId, number: u64, (is_first, is_last): (bool, bool)) -> Part {
        Part {
            host,
            number,
            is_first,
            is_last,
            changes: vec![change(&number.to_string())],
            bytes: 10,
        }
    }

    #[test]
    fn parts_that_follow_each_other_make_a_whole() {
        let (one, two) = (HostId::new(), HostId::new());
        let mut wholes = Wholes::new(30);
        let alone = wholes.join(part(one, 4, (true, true)));
        assert_eq!(alone, Joined::Whole(vec![change("4")]));
        assert_eq!(wholes.join(part(one, 5, (true, false))), Joined::Part);
        assert_eq!(wholes.join(part(two, 9, (true, false))), Joined::Part);
        assert_eq!(wholes.join(part(one, 6, (false, false))), Joined::Part);
        let whole = wholes.join(part(one, 7, (false, true)));
        assert_eq!(
            whole,
            Joined::Whole(vec![change("5"), change("6"), change("7")])
        );
        let other = wholes.join(part(two, 10, (false, true)));
        assert_eq!(other, Joined::Whole(vec![change("9"), change("10")]));
    }

    #[test]
    fn a_whole_without_one_of_its_parts_is_none() {
        let host = HostId::new();
        let mut wholes = Wholes::new(1000);
        assert_eq!(wholes.join(part(host, 2, (false, true))), Joined::Torn);
        wholes.join(part(host, 3, (true, false)));
        assert_eq!(wholes.join(part(host, 5, (false, false))), Joined::Torn);
        assert_eq!(wholes.join(part(host, 6, (false, true))), Joined::Torn);
        wholes.join(part(host, u64::MAX, (true, false)));
        assert_eq!(wholes.join(part(host, 0, (false, true))), Joined::Torn);
        wholes.join(part(host, 7, (true, false)));
        wholes.clear();
        assert_eq!(wholes.join(part(host, 8, (false, true))), Joined::Torn);
    }

    #[test]
    fn a_whole_that_is_too_large_is_not_kept() {
        let host = HostId::new();
        let mut wholes = Wholes::new(19);
        wholes.join(part(host, 1, (true, false)));
        assert_eq!(wholes.join(part(host, 2, (false, true))), Joined::TooLarge);
        assert_eq!(wholes.join(part(host, 3, (false, true))), Joined::Torn);
    }
}
