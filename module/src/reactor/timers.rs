//! The timers of a loop's connections: a timing wheel.
//!
//! ```text
//! level 0: 64 slots of   1 ms    up to 62 ms ahead
//! level 1: 64 slots of   8 ms    up to half a second
//! level 2: 64 slots of  64 ms    up to 4 s
//! level 3: 64 slots of 512 ms    up to 32 s
//! level 4: 64 slots of   4 s     ... and so on
//! ```
//!
//! A slot is a linked list of connections. Setting, moving and cancelling a timer takes the same
//! time however many timers there are, and allocates nothing. On the first four levels a timer is
//! late by up to one slot, so that the timers of many connections run out together, with one
//! wake-up. On the other levels a slot comes up before its timers do, and the timers then move to a
//! finer level.

use std::time::{Duration, Instant};

const LEVELS: usize = 8;

/// The slots of a level are 2 to the power of this times as long as those of the level before.
const SHIFT: usize = 3;

/// One slot for each bit of a `u64`.
const SLOTS: usize = 64;

/// From this level on, timers move to finer levels. A slot of the level before takes 512 ms.
const FIRST_MOVING: usize = 4;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// The place of a timer that is not set.
const UNSET: u16 = u16::MAX;

/// A time that never comes.
const NEVER: u64 = u64::MAX;

/// One timer for each token. Times are milliseconds ("ticks") since `start`.
pub(super) struct Timers {
    start: Instant,
    /// Everything due at this time or earlier has been taken.
    now: u64,
    /// When the next slot comes up, or earlier.
    next: u64,
    /// The first token of each slot.
    slots: [[u32; SLOTS]; LEVELS],
    /// A bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    nodes: Vec<Node>,
}

/// The timer of a token.
#[derive(Clone, Copy)]
struct Node {
    due: u64,
    previous: u32,
    next: u32,
    /// Level and slot.
    place: u16,
}

impl Node {
    const UNSET: Self = Self {
        due: NEVER,
        previous: NONE,
        next: NONE,
        place: UNSET,
    };
}

impl Timers {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            now: 0,
            next: NEVER,
            slots: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            nodes: Vec::new(),
        }
    }

    /// Sets the timer of `token` to `due`, in place of an earlier setting. The timer may be late by
    /// an eighth of the time from `now` to `due`, but at most by half a second.
    pub(super) fn set(&mut self, token: usize, due: Instant, now: Instant) {
        let (Ok(index), now) = (u32::try_from(token), self.tick(now)) else {
            return;
        };
        if now < self.next {
            self.now = self.now.max(now);
        }
        self.unlink(index);
        let since_start = due.saturating_duration_since(self.start);
        let ticks = since_start.as_nanos().div_ceil(1_000_000);
        self.insert(index, u64::try_from(ticks).unwrap_or(NEVER - 1));
    }

    /// Removes the timer of `token`.
    pub(super) fn cancel(&mut self, token: usize) {
        if let Ok(index) = u32::try_from(token) {
            self.unlink(index);
        }
    }

    /// When to look for timers that have run out. `None` means that no timer is set.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.next != NEVER)
            .then(|| self.start.checked_add(Duration::from_millis(self.next)))
            .flatten()
    }

    /// Takes the tokens whose timers have run out.
    pub(super) fn take_due(&mut self, now: Instant, mut take: impl FnMut(usize)) {
        let now = self.tick(now);
        if now < self.next {
            self.now = self.now.max(now);
            return;
        }
        let mut passed = self.pass(now);
        self.now = now;
        while passed != NONE {
            let Node { due, next, .. } = self.nodes[passed as usize];
            self.nodes[passed as usize] = Node::UNSET;
            if due <= now {
                take(passed as usize);
            } else {
                self.insert(passed, due);
            }
            passed = next;
        }
        self.next = self.find_next();
    }

    /// Empties the slots that have come up by `now`. Returns the list of their tokens.
    fn pass(&mut self, now: u64) -> u32 {
        let mut passed = NONE;
        for level in 0..LEVELS {
            let shift = level * SHIFT;
            let (from, to) = (self.now >> shift, now >> shift);
            for slot in (from + 1..=to).take(SLOTS).map(slot_of) {
                let mut head = std::mem::replace(&mut self.slots[level][slot], NONE);
                while head != NONE {
                    let node = &mut self.nodes[head as usize];
                    let rest = std::mem::replace(&mut node.next, passed);
                    passed = std::mem::replace(&mut head, rest);
                }
                self.occupied[level] &= !(1 << slot);
            }
        }
        passed
    }

    /// Puts a timer that is not set into the slot for `due`.
    fn insert(&mut self, index: u32, due: u64) {
        let (level, at) = self.slot_for(due);
        let slot = slot_of(at);
        let head = std::mem::replace(&mut self.slots[level][slot], index);
        let place = u16::try_from(level * SLOTS + slot).unwrap_or(UNSET);
        let needed = index as usize + 1;
        if self.nodes.len() < needed {
            self.nodes.resize(needed, Node::UNSET);
        }
        self.nodes[index as usize] = Node {
            due,
            previous: NONE,
            next: head,
            place,
        };
        if let Some(node) = self.nodes.get_mut(head as usize) {
            node.previous = index;
        }
        self.occupied[level] |= 1 << slot;
        self.next = self.next.min(at << (level * SHIFT));
    }

    /// The level for a timer, and the number of its slot, counted from `start`.
    fn slot_for(&self, due: u64) -> (usize, u64) {
        let ahead = due.saturating_sub(self.now).max(1);
        let covers = |level: &usize| ahead < (SLOTS as u64 - 1) << (level * SHIFT);
        let level = (0..LEVELS).find(covers).unwrap_or(LEVELS - 1);
        let shift = level * SHIFT;
        let at = if level < FIRST_MOVING {
            (self.now + ahead).div_ceil(1 << shift)
        } else {
            due >> shift
        };
        (level, at.min((self.now >> shift) + SLOTS as u64))
    }

    fn unlink(&mut self, index: u32) {
        let Some(node) = self.nodes.get_mut(index as usize) else {
            return;
        };
        let Node {
            previous,
            next,
            place,
            ..
        } = std::mem::replace(node, Node::UNSET);
        if place == UNSET {
            return;
        }
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = previous;
        }
        if let Some(node) = self.nodes.get_mut(previous as usize) {
            node.next = next;
            return;
        }
        let (level, slot) = (usize::from(place) / SLOTS, usize::from(place) % SLOTS);
        self.slots[level][slot] = next;
        if next == NONE {
            // `Timers::next` may be too early now: then the loop looks once in vain.
            self.occupied[level] &= !(1 << slot);
        }
    }

    fn find_next(&self) -> u64 {
        let levels = self.occupied.iter().enumerate();
        let times = levels.filter(|(_, bits)| **bits != 0).map(|(level, bits)| {
            let current = self.now >> (level * SHIFT);
            let after = u32::try_from(slot_of(current + 1)).unwrap_or(0);
            let distance = u64::from(bits.rotate_right(after).trailing_zeros());
            (current + 1 + distance) << (level * SHIFT)
        });
        times.min().unwrap_or(NEVER)
    }

    fn tick(&self, time: Instant) -> u64 {
        let passed = time.saturating_duration_since(self.start).as_millis();
        u64::try_from(passed).unwrap_or(NEVER - 1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is less than 64")]
const fn slot_of(at: u64) -> usize {
    (at % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    const HOUR: u64 = 60 * 60 * 1000;

    fn taken(timers: &mut Timers, now: Instant) -> Vec<usize> {
        let mut taken = Vec::new();
        timers.take_due(now, |token| taken.push(token));
        taken
    }

    /// Follows the wheel until the timer of token 7 runs out. Returns how long that took and how
    /// often a loop would wake up for it.
    fn follow(timers: &mut Timers, start: Instant) -> (Duration, usize) {
        for wakes in 1.. {
            let next = timers.next().expect("the timer is set");
            if taken(timers, next) == [7] {
                assert_eq!(timers.next(), None);
                return (next - start, wakes);
            }
        }
        unreachable!()
    }

    #[test]
    fn a_timer_is_never_early_and_late_by_an_eighth_or_half_a_second() {
        let start = Instant::now();
        let times = (0..80).chain([500, 511, 512, 513, 4000, 5000, 30_000, 32_300, 60_000]);
        for milliseconds in times.chain([10 * 60_000, HOUR, 24 * HOUR, 8760 * HOUR]) {
            for begin in [0, 1, 63, 64, 12_345] {
                let mut timers = Timers::new(start);
                let begin = start + Duration::from_millis(begin);
                let delay = Duration::from_millis(milliseconds);
                timers.set(7, begin + delay, begin);
                let (took, wakes) = follow(&mut timers, begin);
                let late = took.checked_sub(delay).expect("it is not early");
                let most = (delay / 8).min(Duration::from_millis(512));
                assert!(
                    late <= most.max(Duration::from_millis(1)),
                    "{delay:?}: {late:?}"
                );
                assert!(wakes <= 300, "{delay:?}: {wakes} wake-ups");
                assert!(
                    milliseconds > 32_000 || wakes == 1,
                    "{delay:?}: {wakes} wake-ups"
                );
            }
        }
    }

    #[test]
    fn timers_of_many_connections_run_out_together() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        for token in 0..10_000 {
            let now = start + Duration::from_millis(token as u64);
            timers.set(token, now + Duration::from_secs(30), now);
        }
        let (mut wakes, mut total) = (0, 0);
        while let Some(next) = timers.next() {
            wakes += 1;
            total += taken(&mut timers, next).len();
        }
        assert_eq!(total, 10_000);
        assert!(wakes <= 25, "{wakes}");
    }

    #[test]
    fn a_timer_of_the_past_runs_out_with_the_next_tick() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let now = start + Duration::from_secs(100);
        timers.set(7, start, now);
        assert_eq!(follow(&mut timers, now).0, Duration::from_millis(1));
    }

    /// One step of a test.
    #[derive(Clone, Debug)]
    enum Step {
        Set(usize, u64),
        Cancel(usize),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let delay = prop_oneof![0..100u64, 0..5000u64, 0..100_000u64, 0..48 * HOUR];
        prop_oneof![
            3 => (0..20usize, delay.clone()).prop_map(|(token, delay)| Step::Set(token, delay)),
            1 => (0..20usize).prop_map(Step::Cancel),
            2 => delay.prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn no_timer_is_early_lost_or_taken_twice(steps in prop::collection::vec(step(), 1..60)) {
            let start = Instant::now();
            let mut timers = Timers::new(start);
            let mut now = 0;
            let at = |milliseconds| start + Duration::from_millis(milliseconds);
            // When each timer was set, and for when.
            let mut expected = [None::<(u64, u64)>; 20];
            for step in steps {
                match step {
                    Step::Set(token, delay) => {
                        timers.set(token, at(now + delay), at(now));
                        expected[token] = Some((now, now + delay));
                    }
                    Step::Cancel(token) => {
                        timers.cancel(token);
                        expected[token] = None;
                    }
                    Step::Pass(time) => {
                        // A loop wakes up when the wheel says so, or later.
                        let end = now + time;
                        while now < end {
                            let next = timers.next().map_or(end, |next| {
                                u64::try_from((next - start).as_millis()).unwrap()
                            });
                            now = next.clamp(now + 1, end.max(now + 1));
                            for token in taken(&mut timers, at(now)) {
                                let (_, due) = expected[token].take().expect("it is set");
                                prop_assert!(due <= now, "early");
                            }
                            for (set, due) in expected.iter().flatten() {
                                let slack = ((due - set) / 8).clamp(2, 512);
                                prop_assert!(now <= due + slack, "late: {set} {due} {now}");
                            }
                        }
                    }
                }
            }
        }
    }
}
