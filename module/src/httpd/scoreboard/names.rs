//! The names of what is counted separately: location and plugin.
//!
//! Children add names while they serve (`.htaccess` files), so names are written once and never
//! change. Two children that add the same name at the same time may use two places for it; who
//! reads adds up what has the same name.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// So many pairs of location and plugin are counted by themselves; the others share one account.
pub(super) const NAMES: usize = 31;

/// The bytes of a name; longer ones are cut.
const LENGTH: usize = 120;

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const WRITTEN: u32 = 2;

/// A location and a plugin. All zeros: free.
#[repr(C)]
pub(super) struct Name {
    state: AtomicU32,
    /// Each is as long as its first zero says.
    location: [AtomicU8; LENGTH],
    plugin: [AtomicU8; LENGTH],
}

impl Name {
    #[cfg(test)]
    fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
            location: [const { AtomicU8::new(0) }; LENGTH],
            plugin: [const { AtomicU8::new(0) }; LENGTH],
        }
    }

    /// Both names, unless the place is free or somebody is just writing to it.
    pub(super) fn read(&self) -> Option<(String, String)> {
        // Acquire: what was written before is seen.
        (self.state.load(Ordering::Acquire) == WRITTEN)
            .then(|| (read(&self.location), read(&self.plugin)))
    }

    fn is(&self, location: &str, plugin: &str) -> bool {
        self.state.load(Ordering::Acquire) == WRITTEN
            && is(&self.location, location)
            && is(&self.plugin, plugin)
    }

    /// Whether the place was free, and has these names now. A child that is killed in the middle
    /// leaves the place taken, and its account unused.
    fn take(&self, location: &str, plugin: &str) -> bool {
        let taken = self
            .state
            .compare_exchange(FREE, TAKEN, Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        write(&self.location, location);
        write(&self.plugin, plugin);
        self.state.store(WRITTEN, Ordering::Release);
        true
    }
}

/// The place of a pair of names, added if there is room; else the number of places, which is that
/// of the account of all others.
pub(super) fn find_or_add(names: &[Name], location: &str, plugin: &str) -> usize {
    let (location, plugin) = (cut(location), cut(plugin));
    let known = names.iter().position(|name| name.is(location, plugin));
    known
        .or_else(|| names.iter().position(|name| name.take(location, plugin)))
        .unwrap_or(names.len())
}

fn cut(name: &str) -> &str {
    let end = name.find('\0').unwrap_or(name.len());
    &name[..name.floor_char_boundary(end.min(LENGTH))]
}

fn read(bytes: &[AtomicU8]) -> String {
    let bytes = bytes.iter().map(|byte| byte.load(Ordering::Relaxed));
    let bytes: Vec<_> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is(bytes: &[AtomicU8], name: &str) -> bool {
    let end = bytes
        .get(name.len())
        .map_or(0, |byte| byte.load(Ordering::Relaxed));
    let mut pairs = bytes.iter().zip(name.bytes());
    end == 0 && pairs.all(|(byte, expected)| byte.load(Ordering::Relaxed) == expected)
}

fn write(bytes: &[AtomicU8], name: &str) {
    for (place, byte) in bytes.iter().zip(name.bytes()) {
        place.store(byte, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{FREE, LENGTH, Name, Ordering, TAKEN, find_or_add};

    fn names<const N: usize>() -> [Name; N] {
        [(); N].map(|()| Name::new())
    }

    #[test]
    fn each_pair_has_a_place_of_its_own_and_keeps_it() {
        let names = names::<3>();
        for _ in 0..2 {
            assert_eq!(find_or_add(&names, "/chat", "chat"), 0);
            assert_eq!(find_or_add(&names, "/chat", "cha"), 1);
            assert_eq!(find_or_add(&names, "/cha", "chat"), 2);
        }
        assert_eq!(names[0].read(), Some(("/chat".into(), "chat".into())));
    }

    #[test]
    fn what_finds_no_place_is_counted_with_the_others() {
        let names = names::<1>();
        assert_eq!(find_or_add(&names, "/a", "p"), 0);
        assert_eq!(find_or_add(&names, "/b", "p"), 1);
        assert_eq!(find_or_add(&names, "/a", "p"), 0);
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        let names = names::<2>();
        let long = "\u{fc}".repeat(LENGTH);
        let odd = format!("x{long}");
        assert_eq!(find_or_add(&names, &long, &odd), 0);
        assert_eq!(find_or_add(&names, &long, &odd), 0);
        let (location, plugin) = names[0].read().unwrap();
        assert_eq!((location.len(), plugin.len()), (LENGTH, LENGTH - 1));
    }

    #[test]
    fn a_place_that_was_left_half_written_is_not_read() {
        let names = names::<2>();
        assert_eq!(names[0].state.swap(TAKEN, Ordering::Relaxed), FREE);
        assert_eq!(find_or_add(&names, "/a", "p"), 1);
        assert_eq!(names[0].read(), None);
    }
}
