use std::time::Duration;

use super::{Change, ChildId, Claimed, Listed, Log, LogError, Since, Wanted};
use crate::topics::SpaceId;
use crate::topics::message::{Kind, Message};
use crate::topics::once_key::OnceKey;
use crate::topics::rules::Keep;
use websocket_plugin::Position;

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
    log.publish(&message(topic, payload), keep).unwrap()
}

fn wanted(since: Since) -> Wanted {
    Wanted {
        since,
        up_to: None,
        count: usize::MAX,
        bytes: usize::MAX,
    }
}

/// Whether nothing is missing, and what there is.
fn recover_as(log: &Log, count: u32, wanted: Wanted) -> (bool, Vec<Vec<u8>>) {
    let recovered = log.recover((space(), "t"), keep(count), wanted).unwrap();
    let messages = recovered.messages().map(|message| message.payload.to_vec());
    (!recovered.has_gap, messages.collect())
}

fn recover(log: &Log, count: u32, since: Since) -> (bool, Vec<Vec<u8>>) {
    recover_as(log, count, wanted(since))
}

#[test]
fn messages_are_read_in_the_order_in_which_they_were_published() {
    let (_directory, log) = log();
    for number in 0..100_u8 {
        publish(&log, "t", &[number], None);
    }
    let (mut at, mut read) = (0, Vec::new());
    loop {
        let batch = log.read_after(at).unwrap();
        if batch.is_empty() {
            break;
        }
        assert_eq!(batch.first, at + 1);
        for (number, message) in batch.messages() {
            at = number;
            read.push(message.unwrap().payload[0]);
        }
    }
    assert!(read.into_iter().eq(0..100));
    assert_eq!((at, log.newest().unwrap()), (100, 100));
}

#[test]
fn the_oldest_messages_go_when_there_is_no_room_and_whoever_missed_them_is_told() {
    let (_directory, log) = log();
    for size in [SIZE / 32, 10, SIZE / 32] {
        for _ in 0..1000 {
            publish(&log, "t", &vec![7; size], None);
        }
    }
    let first = log.read_after(2000).unwrap().first;
    assert!(first > 2001, "{first}");
    assert_eq!(log.read_after(first).unwrap().first, first + 1);
    let longest = vec![7; SIZE / 32 + 1];
    let refused = log.publish(&message("t", &longest), None);
    assert!(matches!(refused, Err(LogError::TooLarge)));
}

#[test]
fn histories_that_take_too_much_memory_are_forgotten_and_others_can_still_publish() {
    let (_directory, log) = log();
    let mut positions = Vec::new();
    for number in 0..2000 {
        let topic = format!("topic/{number}");
        positions.push(publish(&log, &topic, &[7; 10_000], Some(keep(10))).unwrap());
    }
    let has_gap = |number: usize| {
        let topic = format!("topic/{number}");
        let since = Since::Position(Position {
            offset: 0,
            ..positions[number]
        });
        let recovered = log.recover((space(), &topic), keep(10), wanted(since));
        recovered.unwrap().has_gap
    };
    let gaps = (0..2000).filter(|number| has_gap(*number)).count();
    assert!((1500..2000).contains(&gaps), "{gaps}");
    assert!(!has_gap(1999));
}

#[test]
fn while_somebody_reads_others_can_publish() {
    let (_directory, log) = log();
    let _reading = log.read().unwrap();
    for _ in 0..100 {
        publish(&log, "t", &[7; 100], Some(keep(5)));
    }
}

#[test]
fn what_was_not_delivered_yet_and_what_has_no_room_is_not_recovered() {
    let (_directory, log) = log();
    let first = publish(&log, "t", &[1], Some(keep(9))).unwrap();
    publish(&log, "other", &[0], None);
    for number in [2, 3] {
        publish(&log, "t", &[number], Some(keep(9)));
    }
    // The third message of the log is the second of the topic.
    let up_to = |up_to| Wanted {
        up_to: Some(up_to),
        ..wanted(Since::Position(first))
    };
    assert_eq!(recover_as(&log, 9, up_to(2)), (true, vec![]));
    assert_eq!(recover_as(&log, 9, up_to(3)), (true, vec![vec![2]]));
    let recovered = log.recover((space(), "t"), keep(9), up_to(3)).unwrap();
    assert_eq!(
        (recovered.position.unwrap().offset, recovered.up_to),
        (2, 3)
    );
    let all = log.recover((space(), "t"), keep(9), wanted(Since::Position(first)));
    assert_eq!(all.unwrap().up_to, 4);
    let bytes = |bytes| Wanted {
        bytes,
        ..wanted(Since::Position(first))
    };
    assert_eq!(recover_as(&log, 9, bytes(50)), (false, vec![]));
    assert_eq!(recover_as(&log, 9, bytes(500)).1.len(), 2);
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
    let recover = |since| log.recover((space(), "t"), keep, wanted(since)).unwrap();
    let all = recover(Since::Beginning);
    assert_eq!((all.has_gap, all.messages().count()), (false, 0));
    assert!(!recover(Since::Position(first)).has_gap);
    let missed = Position { offset: 0, ..first };
    assert!(recover(Since::Position(missed)).has_gap);
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
    let own = ChildId::own(0x0007_0001);
    // No process can have this id (proc_sys_kernel(5), pid_max).
    let dead = ChildId(1 << 54 | 0x0007_0002);
    // A child of an earlier start, whose id another process has now.
    let earlier = ChildId::own(0x0006_0001);
    let changes = [change("a", &[1, 2]), change("b", &[3])];
    log.change_members(dead, &changes).unwrap();
    log.change_members(earlier, &[change("c", &[5])]).unwrap();
    log.change_members(own, &[change("a", &[4])]).unwrap();
    let list = |topic| {
        let mut ids = Vec::new();
        log.list((space(), topic), own, |listed| ids.push(listed.id))
            .unwrap();
        ids
    };
    let elsewhere = |child| log.count_elsewhere((space(), "a"), child).unwrap();
    let other = ChildId::own(0x0007_0003);
    assert_eq!(
        (list("a"), elsewhere(own), elsewhere(other)),
        (vec![4], 0, 1)
    );
    assert_eq!(list("c"), Vec::<u64>::new());
    let left = log.remove_dead(own).unwrap();
    let left: Vec<_> = left.iter().map(|it| (&*it.topic, &it.ids[..])).collect();
    assert_eq!(left, [("a", &[1, 2][..]), ("b", &[3]), ("c", &[5])]);
    assert_eq!(log.remove_dead(own).unwrap(), []);
    let change = Change {
        joined: Vec::new(),
        left: vec![4],
        ..change("a", &[])
    };
    log.change_members(own, &[change]).unwrap();
    assert_eq!((list("a"), elsewhere(other)), (vec![], 0));
}

fn once(key: u8, content: u8) -> OnceKey {
    OnceKey {
        key: [key; 20],
        content: [content; 20],
    }
}

fn own_child() -> ChildId {
    ChildId::own(0x0007_0001)
}

#[test]
fn a_key_that_was_settled_has_an_answer_for_the_same_message_only() {
    let (_directory, log) = log();
    let own = own_child();
    assert_eq!(log.claim(&once(1, 1), own).unwrap(), Claimed::New);
    assert_eq!(log.claim(&once(1, 1), own).unwrap(), Claimed::Pending);
    log.settle(&once(1, 1), own, b"answer").unwrap();
    let settled = Claimed::Settled(b"answer".to_vec());
    assert_eq!(log.claim(&once(1, 1), own).unwrap(), settled);
    assert_eq!(log.claim(&once(1, 2), own).unwrap(), Claimed::OtherMessage);
    assert_eq!(log.claim(&once(2, 2), own).unwrap(), Claimed::New);
    log.give_up(&once(2, 2)).unwrap();
    assert_eq!(log.claim(&once(2, 3), own).unwrap(), Claimed::New);
}

#[test]
fn a_key_that_a_killed_child_has_not_settled_can_be_claimed() {
    let (_directory, log) = log();
    // No process can have this number (proc_sys_kernel(5), pid_max).
    let dead = ChildId(1 << 54 | 0x0007_0002);
    assert_eq!(log.claim(&once(1, 1), dead).unwrap(), Claimed::New);
    assert_eq!(log.claim(&once(1, 1), own_child()).unwrap(), Claimed::New);
    log.settle(&once(1, 1), dead, b"late").unwrap();
    assert_eq!(
        log.claim(&once(1, 1), own_child()).unwrap(),
        Claimed::Pending
    );
    log.settle(&once(1, 1), own_child(), b"x").unwrap();
    let settled = Claimed::Settled(b"x".to_vec());
    assert_eq!(log.claim(&once(1, 1), dead).unwrap(), settled);
}

#[test]
fn old_keys_are_forgotten_and_removed() {
    let (_directory, log) = log();
    let own = own_child();
    let now = super::clock::now();
    let minutes = |minutes: u64| minutes * 60 * 1000;
    let claim = |key, at| log.claim_at(&once(key, 1), own, at).unwrap();
    for key in 1..4 {
        assert_eq!(claim(key, now), Claimed::New);
        log.settle(&once(key, 1), own, b"x").unwrap();
    }
    let settled = Claimed::Settled(b"x".to_vec());
    assert_eq!(claim(1, now + minutes(5) - 1), settled);
    assert_eq!(claim(1, now + minutes(5)), Claimed::New);
    // The others went with it.
    assert_eq!(log.count_keys().unwrap(), (1, 1));
}

#[test]
fn the_oldest_keys_go_when_there_is_no_room() {
    let (_directory, log) = log();
    let own = own_child();
    let key = |number: u32| {
        let mut key = once(0, 1);
        key.key[..4].copy_from_slice(&number.to_be_bytes());
        key
    };
    for number in 0..20_000 {
        assert_eq!(
            log.claim_at(&key(number), own, u64::from(number)).unwrap(),
            Claimed::New
        );
        log.settle(&key(number), own, &[7; 100]).unwrap();
    }
    let (count, timed) = log.count_keys().unwrap();
    assert_eq!(count, timed);
    assert!((100..5_000).contains(&count), "{count}");
    let newest = log.claim_at(&key(19_999), own, 20_000).unwrap();
    assert_eq!(newest, Claimed::Settled(vec![7; 100]));
    assert_eq!(log.claim_at(&key(0), own, 20_000).unwrap(), Claimed::New);
}
