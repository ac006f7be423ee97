use super::{Backlog, Imported, Mark, SourceId};
use crate::topics::SpaceId;
use crate::topics::log::{Log, Since, Wanted};
use crate::topics::message::{Kind, Message};
use crate::topics::rules::Keep;
use websocket_plugin::Position;

fn log() -> (tempfile::TempDir, Log) {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::open(directory.path(), 4 << 20).unwrap();
    log.set_source(SourceId::named("redis://here"));
    (directory, log)
}

fn mark(number: u64) -> Mark {
    Mark {
        place: format!("{number}-0").into(),
        number,
        backlog: Backlog::Read,
    }
}

const KEEP: Keep = Keep {
    count: 10,
    time: None,
    is_given: false,
};

fn position(offset: u64) -> Position {
    Position { epoch: 7, offset }
}

/// A message to `t` that is as old as the system.
fn imported(offset: u64, is_old: bool) -> Imported<'static> {
    Imported {
        message: Message {
            space: SpaceId::named(b"test"),
            topic: "t",
            kind: Kind::Text,
            position: Some(position(offset)),
            payload: b"text",
        },
        at: 1,
        is_old,
    }
}

fn import(log: &Log, (before, after): (&Mark, &Mark), offsets: &[u64], has_gap: bool) -> bool {
    let messages: Vec<_> = offsets
        .iter()
        .map(|offset| imported(*offset, before.backlog != Backlog::Read))
        .collect();
    log.import((before, after), &messages, has_gap, |_| Some(KEEP))
        .unwrap()
}

/// Whether everything since this message is there, and what.
fn since(log: &Log, since: Since) -> (bool, Vec<u64>) {
    let wanted = Wanted {
        since,
        up_to: None,
        count: 99,
        bytes: usize::MAX,
    };
    let topic = (SpaceId::named(b"test"), "t");
    let recovered = log.recover(topic, KEEP, wanted).unwrap();
    let positions = recovered.messages().filter_map(|message| message.position);
    (!recovered.has_gap, positions.map(|it| it.offset).collect())
}

fn delivered(log: &Log, after: u64) -> (usize, bool) {
    let batch = log.read_after(after).unwrap();
    (
        batch.messages().count(),
        !batch.is_empty() && batch.first != after + 1,
    )
}

#[test]
fn messages_keep_the_places_that_the_broker_has_given_to_them() {
    let (_directory, log) = log();
    assert!(import(
        &log,
        (&Mark::default(), &mark(3)),
        &[5, 6, 7],
        false
    ));
    assert_eq!(log.mark().unwrap(), Some(mark(3)));
    assert_eq!(since(&log, Since::Beginning), (true, vec![5, 6, 7]));
    assert_eq!(
        since(&log, Since::Position(position(5))),
        (true, vec![6, 7])
    );
    assert!(!since(&log, Since::Position(position(3))).0);
    assert_eq!(delivered(&log, 0), (3, false));
}

#[test]
fn what_another_process_has_imported_is_not_imported_again() {
    let (_directory, log) = log();
    assert!(import(&log, (&Mark::default(), &mark(1)), &[1], false));
    assert!(!import(&log, (&Mark::default(), &mark(1)), &[1], false));
    assert_eq!(delivered(&log, 0), (1, false));
}

#[test]
fn old_messages_come_into_histories_and_nobody_can_be_told_that_they_are_complete() {
    let (_directory, log) = log();
    assert!(import(&log, (&Mark::default(), &mark(1)), &[1], false));
    log.begin_backlog().unwrap();
    assert_eq!(since(&log, Since::Position(position(1))), (false, vec![]));
    let before = log.measure_backlog(3).unwrap();
    assert_eq!((before.backlog, before.number), (Backlog::UpTo(3), 1));
    assert!(import(&log, (&before, &mark(3)), &[2, 3], false));
    assert_eq!(delivered(&log, 1), (0, false));
    assert_eq!(
        since(&log, Since::Position(position(1))),
        (true, vec![2, 3])
    );
}

#[test]
fn after_a_gap_histories_begin_anew_and_all_children_see_it() {
    let (_directory, log) = log();
    assert!(import(&log, (&Mark::default(), &mark(1)), &[1], false));
    assert!(import(&log, (&mark(1), &mark(9)), &[8], true));
    assert_eq!(since(&log, Since::Position(position(1))), (false, vec![]));
    assert_eq!(since(&log, Since::Beginning), (true, vec![8]));
    // What follows the gap does not come with what was before it.
    assert_eq!(delivered(&log, 0), (1, false));
    assert_eq!(delivered(&log, 1), (2, true));
}

#[test]
fn a_topic_that_is_counted_anew_has_a_history_of_its_own() {
    let (_directory, log) = log();
    assert!(import(&log, (&Mark::default(), &mark(2)), &[1, 2], false));
    let mut other = imported(1, false);
    other.message.position = Some(Position {
        epoch: 8,
        offset: 1,
    });
    let kept = log.import((&mark(2), &mark(3)), &[other], false, |_| Some(KEEP));
    assert!(kept.unwrap());
    assert_eq!(since(&log, Since::Beginning), (true, vec![1]));
    assert!(!since(&log, Since::Position(position(2))).0);
}

#[test]
fn a_gap_is_seen_before_and_between_messages() {
    let has_gap = |before: &Mark, numbers: &[u64]| before.has_gap(numbers.iter().copied());
    assert!(!has_gap(&mark(4), &[5, 6, 7]));
    assert!(!has_gap(&mark(4), &[]));
    for numbers in [&[6][..], &[5, 7], &[4], &[1], &[5, 6, 6]] {
        assert!(has_gap(&mark(4), numbers), "{numbers:?}");
    }
    // What was before a host began to read does not concern it.
    assert!(!has_gap(&Mark::default(), &[17, 18]));
    assert!(has_gap(&Mark::default(), &[17, 19]));
}

#[test]
fn the_first_process_that_reaches_the_broker_decides_what_is_old() {
    let (_directory, log) = log();
    log.begin_backlog().unwrap();
    assert_eq!(log.measure_backlog(2).unwrap().backlog, Backlog::UpTo(2));
    assert_eq!(log.measure_backlog(5).unwrap().backlog, Backlog::UpTo(2));
    // It is not forgotten when the connection is lost in between.
    assert_eq!(log.mark().unwrap().unwrap().backlog, Backlog::UpTo(2));
}
