//! What happens to a connection when this module panics in its turn.

use std::time::Instant;

use crate::httpd::guard::guard;

/// What happens to a connection after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The connection takes another turn when something happens, or at this time.
    Wait(Option<Instant>),
    /// The connection takes another turn soon.
    Again,
    /// The connection takes no more turns and is to be closed.
    Gone,
}

/// Something whose turns may panic.
pub(super) trait Fallible {
    /// Ends the session, if there still is one. Returns whether there was.
    fn give_up(&mut self) -> bool;
}

/// Takes a turn. If it panics, the session ends, and the connection is closed like any other. If
/// closing it panics too, the connection is dropped at once.
pub(super) fn turn<T: Fallible>(life: &mut T, take: impl FnOnce(&mut T) -> Outcome) -> Outcome {
    let outcome = guard("a turn of a connection", None, || Some(take(life)));
    outcome.unwrap_or_else(|| {
        let had_session = guard("the end of a session", true, || life.give_up());
        if had_session {
            Outcome::Again
        } else {
            Outcome::Gone
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Fallible, Outcome, turn};

    struct Life {
        has_session: bool,
        panics_at_end: bool,
    }

    impl Fallible for Life {
        fn give_up(&mut self) -> bool {
            let had_session = std::mem::take(&mut self.has_session);
            assert!(!(had_session && self.panics_at_end), "at the end");
            had_session
        }
    }

    #[test]
    fn a_connection_whose_turns_panic_is_closed() {
        for panics_at_end in [false, true] {
            let mut life = Life {
                has_session: true,
                panics_at_end,
            };
            assert_eq!(
                turn(&mut life, |_| Outcome::Wait(None)),
                Outcome::Wait(None)
            );
            assert_eq!(turn(&mut life, |_| panic!("in a turn")), Outcome::Again);
            assert!(!life.has_session);
            assert_eq!(turn(&mut life, |_| panic!("while closing")), Outcome::Gone);
        }
    }
}
