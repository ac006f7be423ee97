use super::{Backlog, Counted, Imported, Mark, Source, SourceId};
use crate::topics::SpaceId;
use crate::topics::log::keys::TopicKey;
use crate::topics::log::{Log, Since, Wanted};
use crate::topics::message::{Kind, Message};
use crate::topics::rules::Keep;
use websocket_plugin::Position;

fn log() -> (tempfile::TempDir, Log) {
    log_of(false)
}

/// The log of a host with a broker whose offsets have holes, or not.
fn log_of(has_holes: bool) -> (tempfile::TempDir, Log) {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::open(directory.path(), 4 << 20).unwrap();
    log.set_source(Source {
        id: SourceId::named("redis://here"),
        has_holes,
    });
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
            position: None,
            payload: b"text",
        },
        counted: Counted::There(position(offset)),
        at: 1,
        is_old,
        is_left_out: false,
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
    other.counted = Counted::There(Position {
        epoch: 8,
        offset: 1,
    });
    let kept = log.import((&mark(2), &mark(3)), &[other], false, |_| Some(KEEP));
    assert!(kept.unwrap());
    assert_eq!(since(&log, Since::Beginning), (true, vec![1]));
    assert!(!since(&log, Since::Position(position(2))).0);
}

#[test]
fn offsets_may_have_holes_where_the_broker_counts_all_topics_together() {
    let (_directory, log) = log_of(true);
    assert!(import(
        &log,
        (&Mark::default(), &mark(9)),
        &[3, 5, 9],
        false
    ));
    assert_eq!(since(&log, Since::Beginning), (true, vec![3, 5, 9]));
    for (seen, expected) in [(2, &[3, 5, 9][..]), (3, &[5, 9]), (4, &[5, 9]), (9, &[])] {
        let seen = Since::Position(position(seen));
        assert_eq!(since(&log, seen), (true, expected.to_vec()));
    }
    for unknown in [1, 10] {
        assert!(!since(&log, Since::Position(position(unknown))).0);
    }
    // Ten are kept.
    let offsets: Vec<_> = (10..18).map(|number| number * 10).collect();
    assert!(import(&log, (&mark(9), &mark(170)), &offsets, false));
    let kept = [&[5, 9][..], &offsets].concat();
    assert_eq!(since(&log, Since::Beginning), (true, kept));
    assert!(since(&log, Since::Position(position(3))).0);
    assert!(!since(&log, Since::Position(position(2))).0);
    // What comes twice is not what follows.
    assert!(import(&log, (&mark(170), &mark(171)), &[170], false));
    assert_eq!(since(&log, Since::Beginning), (true, vec![170]));
}

#[test]
fn fewer_messages_are_given_when_fewer_are_to_be_kept() {
    let (_directory, log) = log_of(true);
    assert!(import(
        &log,
        (&Mark::default(), &mark(9)),
        &[3, 5, 9],
        false
    ));
    let keep = Keep { count: 2, ..KEEP };
    let recover = |since| {
        let wanted = Wanted {
            since,
            up_to: None,
            count: 99,
            bytes: usize::MAX,
        };
        let topic = (SpaceId::named(b"test"), "t");
        let recovered = log.recover(topic, keep, wanted).unwrap();
        (!recovered.has_gap, recovered.messages().count())
    };
    assert_eq!(recover(Since::Beginning), (true, 2));
    assert_eq!(recover(Since::Position(position(3))), (true, 2));
    assert_eq!(recover(Since::Position(position(2))), (false, 0));
}

#[test]
fn without_places_of_the_broker_the_host_counts_by_itself() {
    let (_directory, log) = log();
    let uncounted = Imported {
        counted: Counted::Here,
        ..imported(1, false)
    };
    let marks = (&Mark::default(), &mark(2));
    let messages = [uncounted, uncounted];
    assert!(log.import(marks, &messages, true, |_| Some(KEEP)).unwrap());
    assert_eq!(since(&log, Since::Beginning), (true, vec![1, 2]));
    assert!(!since(&log, Since::Position(position(1))).0);
    let nowhere = Imported {
        counted: Counted::Nowhere,
        ..uncounted
    };
    let marks = (&mark(2), &mark(3));
    assert!(
        log.import(marks, &[nowhere], false, |_| Some(KEEP))
            .unwrap()
    );
    assert_eq!(since(&log, Since::Beginning), (true, vec![1, 2]));
}

#[test]
fn after_a_message_that_is_left_out_nobody_is_told_that_it_has_missed_nothing() {
    for has_holes in [false, true] {
        let (_directory, log) = log_of(has_holes);
        assert!(import(&log, (&Mark::default(), &mark(2)), &[1, 2], false));
        let left_out = Imported {
            is_left_out: true,
            ..imported(3, false)
        };
        let marks = (&mark(2), &mark(3));
        assert!(
            log.import(marks, &[left_out], false, |_| Some(KEEP))
                .unwrap()
        );
        assert!(!since(&log, Since::Position(position(2))).0);
        assert!(import(&log, (&mark(3), &mark(4)), &[4], false));
        assert!(!since(&log, Since::Position(position(2))).0);
        assert_eq!(since(&log, Since::Position(position(3))), (true, vec![4]));
        // Nobody is sent the one that is left out.
        assert_eq!(delivered(&log, 0), (3, false));
    }
}

/// Publishes a message to `t` in a process that has no broker.
fn publish_here(log: &Log) -> Position {
    let message = Message {
        position: None,
        ..imported(0, false).message
    };
    log.publish(&message, Some(KEEP)).unwrap().unwrap()
}

#[test]
fn what_this_host_publishes_does_not_go_on_with_the_numbers_of_a_broker() {
    let (_directory, log) = log();
    assert!(import(&log, (&Mark::default(), &mark(2)), &[1, 2], false));
    let own = publish_here(&log);
    assert_ne!(own.epoch, position(2).epoch);
    assert!(!since(&log, Since::Position(position(2))).0);
    assert!(import(&log, (&mark(2), &mark(3)), &[3], false));
    assert_eq!(since(&log, Since::Beginning), (true, vec![3]));
    assert!(!since(&log, Since::Position(own)).0);
}

#[test]
fn when_the_broker_is_back_a_place_from_before_is_a_gap_if_this_host_has_published_meanwhile() {
    for has_gap in [false, true] {
        let (_directory, log) = log();
        assert!(import(&log, (&Mark::default(), &mark(2)), &[1, 2], false));
        let own = publish_here(&log);
        // The broker has messages of other topics between, and may have lost some of them.
        assert!(import(&log, (&mark(2), &mark(9)), &[], has_gap));
        for seen in [own, position(2)] {
            let is_complete = since(&log, Since::Position(seen)).0;
            assert_eq!(is_complete, !has_gap && seen == own, "{seen}");
        }
        assert!(import(&log, (&mark(9), &mark(11)), &[3, 4], false));
        for seen in [own, position(1), position(2)] {
            assert!(!since(&log, Since::Position(seen)).0, "{seen}");
        }
        assert_eq!(since(&log, Since::Beginning), (true, vec![3, 4]));
        assert_eq!(since(&log, Since::Position(position(3))), (true, vec![4]));
        assert_eq!(since(&log, Since::Position(position(4))), (true, vec![]));
    }
}

#[test]
fn when_the_broker_is_back_a_place_from_before_is_a_gap_even_if_the_host_s_history_was_evicted() {
    for has_published in [false, true] {
        let (_directory, log) = log();
        assert!(import(&log, (&Mark::default(), &mark(2)), &[1, 2], false));
        if has_published {
            publish_here(&log);
        }
        let mut txn = log.environment.write_txn().unwrap();
        let t = TopicKey::new(SpaceId::named(b"test"), "t");
        log.evict_these(&mut txn, &[t]).unwrap();
        txn.commit().unwrap();
        assert!(import(&log, (&mark(2), &mark(3)), &[3], false));
        let is_complete = since(&log, Since::Position(position(2))).0;
        assert_eq!(is_complete, !has_published);
    }
}

#[test]
fn after_a_gap_a_host_that_counts_by_itself_begins_with_another_epoch() {
    let (_directory, log) = log();
    let before = publish_here(&log);
    assert!(import(&log, (&Mark::default(), &mark(9)), &[], true));
    assert_eq!(since(&log, Since::Beginning), (true, vec![]));
    assert!(!since(&log, Since::Position(before)).0);
    let after = publish_here(&log);
    assert!(after.epoch != before.epoch && after.epoch != 0, "{after}");
    assert!(!since(&log, Since::Position(before)).0);
    assert_eq!(since(&log, Since::Position(after)), (true, vec![]));
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
