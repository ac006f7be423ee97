//! Events that come later.

use super::{Case, Duration, Instant, Next, text};

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
