//! The scoreboard places that httpd has for child processes. A child that is ending keeps its place
//! until it is gone.

use super::{generation, mpm, sys};

/// A child that has a place.
#[derive(Clone, Copy, Debug)]
struct Child {
    generation: i32,
    /// The child accepts no connections any more.
    is_ending: bool,
}

/// Whether httpd lacks a place for a new child and this child should therefore end soon. All of the
/// following must hold:
///
/// * All places are taken.
/// * Fewer children serve than there may be, so that the parent needs a new one or may soon.
/// * No child of an older generation than this one is ending. Such a child ought to go first.
pub fn are_short() -> bool {
    let running = generation::running().unwrap_or_default();
    let (most, needed) = (mpm::most_children(), mpm::needed_children());
    are_taken(&children(), most, needed, running, generation::own())
}

/// Whether no child accepts connections: httpd stops, or is restarting.
pub fn is_nobody_serving() -> bool {
    let running = generation::running().unwrap_or_default();
    serving(&children(), running) == 0
}

fn are_taken(children: &[Child], most: usize, needed: usize, running: i32, own: i32) -> bool {
    let ending = children.iter().filter(|child| child.is_ending);
    let oldest = ending.map(|child| child.generation).min();
    children.len() >= most
        && serving(children, running) < needed
        && oldest.is_none_or(|oldest| own <= oldest)
}

fn serving(children: &[Child], running: i32) -> usize {
    let serves = |child: &&Child| !child.is_ending && child.generation == running;
    children.iter().filter(serves).count()
}

fn children() -> Vec<Child> {
    let places = 0..i32::try_from(mpm::most_children()).unwrap_or(0);
    let child = |place| {
        // SAFETY: the scoreboard lives as long as the process, and the function checks the place.
        // Other processes may write these numbers at the same time.
        unsafe {
            let child = sys::ap_get_scoreboard_process(place);
            if child.is_null() || (&raw const (*child).pid).read_volatile() == 0 {
                return None;
            }
            Some(Child {
                generation: (&raw const (*child).generation).read_volatile(),
                is_ending: (&raw const (*child).quiescing).read_volatile() != 0,
            })
        }
    };
    places.filter_map(child).collect()
}

#[cfg(test)]
mod tests {
    use super::{Child, are_taken};

    fn children(numbers: &[(usize, i32, bool)]) -> Vec<Child> {
        let children = numbers.iter().flat_map(|&(count, generation, is_ending)| {
            let child = Child {
                generation,
                is_ending,
            };
            std::iter::repeat_n(child, count)
        });
        children.collect()
    }

    #[test]
    fn places_are_short_when_all_are_taken_and_more_children_may_be_needed() {
        for (numbers, most, needed, own, expected) in [
            // There is a place left.
            (&[(3, 4, true), (2, 5, false)][..], 6, 4, 4, false),
            (&[(4, 4, true), (2, 5, false)][..], 6, 4, 4, true),
            // As many children serve as there may be.
            (&[(2, 4, true), (4, 5, false)][..], 6, 4, 4, false),
            // The oldest children go first.
            (
                &[(1, 3, true), (3, 4, true), (2, 5, false)][..],
                6,
                4,
                4,
                false,
            ),
            (
                &[(1, 3, true), (3, 4, true), (2, 5, false)][..],
                6,
                4,
                3,
                true,
            ),
            // A child that has not noticed yet that it is to end is not serving.
            (&[(2, 4, true), (4, 4, false)][..], 6, 4, 4, true),
            (&[][..], 6, 4, 4, false),
        ] {
            let taken = are_taken(&children(numbers), most, needed, 5, own);
            assert_eq!(taken, expected, "{numbers:?} {own}");
        }
    }
}
