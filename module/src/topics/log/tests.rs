use std::time::Duration;

use super::{Change, ChildId, Listed, Log, LogError, Since};
use crate::topics::SpaceId;
use crate::topics::message::{Kind, Message, Position};
use crate::topics::rules::Keep;

const SIZE: usize = 4 << 20;

fn log() -> (tempfile::TempDir, Log) {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SIZE).unwrap();
    (directory, log)
}

fn space() -> SpaceId {
    SpaceId::named(b"test")
}

fn message<'m>(topic: &'m str, payload: &'m [u8]) -> Message<'m> {
    Message {
        space: space(),
        topic,
        kind: Kind::Binary,
        position: None,
        payload,
    }
}

fn keep(count: u32) -> Keep {
    Keep {
        count,
        time: None,
        is_given: false,
    }
}

fn publish(log: &Log, topic: &str, payload: &[u8], keep: Option<Keep>) -> Option<Position> {
    let messages = [message(topic, payload)].into_iter();
    log.publish(messages, |_| keep).unwrap().position
}

fn recover(log: &Log, count: u32, since: Since) -> (bool, Vec<Vec<u8>>) {
    let mut found = Vec::new();
    let topic = (space(), "t");
    let recovered = log.recover(topic, (keep(count), since), usize::MAX, |message| {
        found.push(message.payload.to_vec());
    });
    (recovered.unwrap().is_complete, found)
}

#[test]
fn messages_are_read_in_the_order_in_which_they_were_published() {
    let (_directory, log) = log();
    for number in 0..10_u8 {
        publish(&log, "t", &[number], None);
    }
    let mut read = Vec::new();
    let first = log.read_after(0, 4, |number, message| {
        read.push((number, message.payload[0]));
    });
    let second = log.read_after(first.unwrap().number, 100, |number, message| {
        read.push((number, message.payload[0]));
    });
    assert_eq!(second.unwrap().number, 10);
    assert!(read.into_iter().eq((1..=10).zip(0..10)));
    assert_eq!(log.newest().unwrap(), 10);
}

#[test]
fn the_oldest_messages_go_when_there_is_no_room_and_whoever_missed_them_is_told() {
    let (_directory, log) = log();
    let payload = vec![7; SIZE / 16];
    for _ in 0..100 {
        publish(&log, "t", &payload, None);
    }
    let read = log.read_after(50, 1000, |_, _| {}).unwrap();
    assert_eq!((read.number, read.has_missed), (100, true));
    let read = log.read_after(98, 1000, |_, _| {}).unwrap();
    assert_eq!((read.number, read.has_missed), (100, false));
    let longest = vec![7; SIZE / 8 + 1];
    let refused = log.publish([message("t", &longest)].into_iter(), |_| None);
    assert!(matches!(refused, Err(LogError::TooLarge)));
}

#[test]
fn a_history_has_the_newest_messages_and_each_has_a_position() {
    let (_directory, log) = log();
    let positions: Vec<_> = (0..10_u8)
        .map(|number| publish(&log, "t", &[number], Some(keep(3))).unwrap())
        .collect();
    assert!(positions.iter().map(|it| it.offset).eq(1..=10));
    assert!(positions.iter().all(|it| it.epoch == positions[0].epoch));
    assert_eq!(publish(&log, "other", b"x", None), None);
    assert_eq!(
        recover(&log, 3, Since::Beginning),
        (true, vec![vec![7], vec![8], vec![9]])
    );
    assert_eq!(
        recover(&log, 3, Since::Position(positions[8])),
        (true, vec![vec![9]])
    );
    assert_eq!(
        recover(&log, 3, Since::Position(positions[9])),
        (true, vec![])
    );
    // The one before the oldest that is kept: nothing is missing.
    assert!(recover(&log, 3, Since::Position(positions[6])).0);
    for gap in [
        positions[5],
        Position {
            epoch: 1,
            ..positions[9]
        },
        Position {
            offset: 11,
            ..positions[9]
        },
    ] {
        assert_eq!(recover(&log, 3, Since::Position(gap)), (false, vec![]));
    }
}

#[test]
fn a_history_without_messages_is_complete_only_for_those_who_have_seen_none() {
    let (_directory, log) = log();
    assert_eq!(recover(&log, 3, Since::Beginning), (true, vec![]));
    let position = Position {
        epoch: 1,
        offset: 1,
    };
    assert!(!recover(&log, 3, Since::Position(position)).0);
}

#[test]
fn messages_that_are_too_old_are_not_kept() {
    let (_directory, log) = log();
    let keep = Keep {
        time: Some(Duration::ZERO),
        ..keep(100)
    };
    let first = publish(&log, "t", b"1", Some(keep)).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    let mut found = 0;
    let topic = (space(), "t");
    let since = |since| (keep, since);
    let all = log.recover(topic, since(Since::Beginning), 9, |_| found += 1);
    assert_eq!((all.unwrap().is_complete, found), (true, 0));
    let seen = log.recover(topic, since(Since::Position(first)), 9, |_| {});
    assert!(seen.unwrap().is_complete);
    let missed = Position { offset: 0, ..first };
    let missed = log.recover(topic, since(Since::Position(missed)), 9, |_| {});
    assert!(!missed.unwrap().is_complete);
}

#[test]
fn a_log_that_is_opened_again_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SIZE).unwrap();
    let first = publish(&log, "t", b"1", Some(keep(9))).unwrap();
    let environment = log.environment.clone();
    drop(log);
    environment.prepare_for_closing().wait();
    let log = Log::open(directory.path(), SIZE).unwrap();
    let second = publish(&log, "t", b"2", Some(keep(9))).unwrap();
    assert_eq!((second.epoch, second.offset), (first.epoch, 2));
    assert_eq!(log.newest().unwrap(), 2);
}

#[test]
fn members_of_children_that_have_ended_are_removed() {
    let (_directory, log) = log();
    let listed = |id| Listed {
        id,
        user: Some("me".into()),
        info: None,
    };
    let change = |topic: &str, ids: &[u64]| Change {
        space: space(),
        topic: topic.into(),
        count: u32::try_from(ids.len()).unwrap(),
        joined: ids.iter().map(|id| listed(*id)).collect(),
        left: Vec::new(),
    };
    // No process can have this number (proc_sys_kernel(5), pid_max).
    let dead = ChildId(1 << 54);
    let own = ChildId::own();
    let changes = [change("a", &[1, 2]), change("b", &[3])];
    log.change_members(dead, &changes).unwrap();
    log.change_members(own, &[change("a", &[4])]).unwrap();
    let list = |topic| {
        let mut ids = Vec::new();
        log.list((space(), topic), |listed| ids.push(listed.id))
            .unwrap();
        ids
    };
    let elsewhere = |child| log.count_elsewhere((space(), "a"), child).unwrap();
    assert_eq!(
        (list("a"), elsewhere(own), elsewhere(dead)),
        (vec![4], 0, 1)
    );
    let left = log.remove_dead().unwrap();
    let left: Vec<_> = left.iter().map(|it| (&*it.topic, &it.ids[..])).collect();
    assert_eq!(left, [("a", &[1, 2][..]), ("b", &[3])]);
    assert_eq!(log.remove_dead().unwrap(), []);
    let change = Change {
        joined: Vec::new(),
        left: vec![4],
        ..change("a", &[])
    };
    log.change_members(own, &[change]).unwrap();
    assert_eq!((list("a"), elsewhere(dead)), (vec![], 0));
}
