//! Events that come later.

use std::time::{Duration, Instant};

use super::{Case, text};
use crate::protocol::{Excess, MessageRate, Rate};
use crate::session::Next;

const SECOND: Duration = Duration::from_secs(1);

fn deadline(next: Next) -> Option<Instant> {
    match next {
        Next::Wait { deadline, .. } => deadline,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_turn_ends_with_the_time_of_the_next_event_and_handles_it_then() {
    let mut case = Case::echo();
    let start = Instant::now();
    let at = |seconds| start + seconds * SECOND;
    assert_eq!(deadline(case.turn_at(start)), None);
    case.events.timers.borrow_mut().extend([at(10), at(20)]);
    case.output.make_due();
    assert!(case.home.wakes() > 0);
    assert_eq!(deadline(case.turn_at(at(1))), Some(at(10)));
    case.wire.send(&[text("meanwhile")]);
    assert_eq!(deadline(case.turn_at(at(9))), Some(at(10)));
    assert_eq!(case.events.take(), ["message meanwhile"]);
    assert_eq!(deadline(case.turn_at(at(10))), Some(at(20)));
    assert_eq!(case.events.take(), ["event"]);
    assert_eq!(deadline(case.turn_at(at(30))), None);
    assert_eq!(case.events.take(), ["event"]);
}

#[test]
fn a_pause_holds_no_event_back() {
    let mut case = Case::echo();
    let start = Instant::now();
    case.output.pause();
    case.events.timers.borrow_mut().push(start + SECOND);
    case.output.make_due();
    assert_eq!(deadline(case.turn_at(start)), Some(start + SECOND));
    assert_eq!(deadline(case.turn_at(start + SECOND)), None);
    assert_eq!(case.events.take(), ["event"]);
}

#[test]
fn what_becomes_due_in_a_turn_asks_for_another_one() {
    let mut case = Case::new(|output| Box::new(move |_| output.set_due()));
    case.wire.send(&[text("post")]);
    assert_eq!(case.turn_at(Instant::now()), Next::Again);
    assert_eq!(deadline(case.turn()), None);
}

#[test]
fn what_a_client_sends_while_an_event_is_handled_has_come_in_time() {
    const COUNT: u32 = 12;
    let step = Duration::from_millis(10);
    let mut case = Case::silent();
    let limit = MessageRate {
        rate: Rate::new(1, step, 2).unwrap(),
        excess: Excess::Closes,
    };
    case.session.as_mut().unwrap().limit(limit);
    let now = Instant::now();
    case.events.timers.borrow_mut().push(now);
    case.events.event_takes.set(COUNT * step);
    case.output.make_due();
    case.wire.send(&vec![text("x"); COUNT as usize]);
    case.turn_at(now);
    let expected: Vec<_> = std::iter::once("event")
        .chain(vec!["message x"; COUNT as usize])
        .collect();
    assert_eq!(case.events.take(), expected);
}
