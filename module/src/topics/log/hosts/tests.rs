use super::{Change, ChildId};
use crate::topics::SpaceId;
use crate::topics::log::{Listed, Log, Source, SourceId, Untold};

const TOPIC: &str = "room";

fn space() -> SpaceId {
    SpaceId::named(b"test")
}

/// The log of a host with a broker, and a child of it.
fn host() -> (tempfile::TempDir, Log, ChildId) {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::open(directory.path(), 4 << 20).unwrap();
    log.set_source(Source {
        id: SourceId::named("redis://here"),
        has_holes: false,
    });
    log.own_host().unwrap();
    (directory, log, ChildId::own(1))
}

fn listed(id: u64) -> Listed {
    Listed {
        id,
        user: None,
        info: Some("x".into()),
    }
}

fn change(count: u32, joined: &[u64], left: &[u64]) -> Change {
    Change {
        joined: joined.iter().copied().map(listed).collect(),
        left: left.to_vec(),
        ..Change::new(space(), TOPIC, count)
    }
}

/// Takes what one has to tell, and has the other hear it. Returns what is new to it.
fn tell((from, child): (&Log, ChildId), to: &Log) -> Vec<Change> {
    let (host, _) = from.own_host().unwrap();
    let Untold { number, changes } = from.take_untold(child, 1 << 16).unwrap().unwrap();
    to.hear((host, number), changes, false).unwrap()
}

fn members(log: &Log, own: ChildId) -> Vec<u64> {
    let mut ids = Vec::new();
    log.list((space(), TOPIC), own, |listed| ids.push(listed.id))
        .unwrap();
    ids.sort_unstable();
    ids
}

#[test]
fn a_host_tells_another_who_has_come_and_gone() {
    let (_one, one, child) = host();
    let (_two, two, own) = host();
    assert_eq!(one.take_untold(child, 1 << 16).unwrap(), None);
    one.change_members(child, &[change(2, &[7, 8], &[])])
        .unwrap();
    assert_eq!(tell((&one, child), &two), [change(2, &[7, 8], &[])]);
    assert_eq!(two.count_elsewhere((space(), TOPIC), own).unwrap(), 2);
    assert_eq!(members(&two, own), [7, 8]);
    // It does not tell of what it has heard.
    assert_eq!(two.take_untold(own, 1 << 16).unwrap(), None);
    one.change_members(child, &[change(1, &[], &[7])]).unwrap();
    assert_eq!(tell((&one, child), &two), [change(1, &[], &[7])]);
    assert_eq!(members(&two, own), [8]);
    assert_eq!(one.take_untold(child, 1 << 16).unwrap(), None);
    let (host, last) = one.own_host().unwrap();
    assert_eq!(two.last_report(host).unwrap(), Some(last));
    assert_eq!(last, 2);
}

#[test]
fn what_is_heard_twice_is_no_news() {
    let (_one, one, child) = host();
    let (_two, two, own) = host();
    one.change_members(child, &[change(1, &[7], &[])]).unwrap();
    tell((&one, child), &two);
    one.change_members(child, &[change(1, &[7], &[9])]).unwrap();
    assert_eq!(tell((&one, child), &two), []);
    assert_eq!(members(&two, own), [7]);
}

#[test]
fn the_whole_replaces_what_was_known_of_a_host() {
    let (_one, one, child) = host();
    let (_two, two, own) = host();
    one.change_members(child, &[change(2, &[7, 8], &[])])
        .unwrap();
    tell((&one, child), &two);
    two.change_members(own, &[change(1, &[1], &[])]).unwrap();
    // This is lost.
    one.change_members(child, &[change(2, &[9], &[7])]).unwrap();
    let other = Change::new(space(), "other", 5);
    one.change_members(child, &[other]).unwrap();
    one.take_untold(child, 1 << 16).unwrap();
    let (host, last) = one.own_host().unwrap();
    let parts = one.take_whole(child, 1).unwrap();
    assert!(parts.len() > 1, "{parts:?}");
    assert_eq!(parts[0].number, last + 1);
    let end = parts[parts.len() - 1].number;
    let told = parts.into_iter().flat_map(|part| part.changes).collect();
    let news = two.hear((host, end), told, true).unwrap();
    let left: Vec<_> = news.iter().flat_map(|it| it.left.clone()).collect();
    let joined: Vec<_> = news
        .iter()
        .flat_map(|it| &it.joined)
        .map(|it| it.id)
        .collect();
    assert_eq!((left, joined), (vec![7], vec![9]));
    assert_eq!(members(&two, own), [1, 8, 9]);
    assert_eq!(two.count_elsewhere((space(), "other"), own).unwrap(), 5);
    assert_eq!(two.last_report(host).unwrap(), Some(end));
    // With nobody on it, a host has nothing.
    let news = two.hear((host, end + 1), Vec::new(), true).unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(members(&two, own), [1]);
    assert_eq!(two.count_elsewhere((space(), "other"), own).unwrap(), 0);
}

#[test]
fn whoever_was_on_a_host_that_is_silent_is_gone() {
    let (_one, one, child) = host();
    let (_two, two, own) = host();
    one.change_members(child, &[change(1, &[7], &[])]).unwrap();
    two.change_members(own, &[change(1, &[1], &[])]).unwrap();
    tell((&one, child), &two);
    assert_eq!(two.remove_silent_hosts(0).unwrap(), []);
    // The children of others are not children that have ended.
    assert_eq!(two.remove_dead(own).unwrap(), []);
    let left = two.remove_silent_hosts(u64::MAX).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].ids, [7]);
    assert_eq!(members(&two, own), [1]);
    let (host, _) = one.own_host().unwrap();
    assert_eq!(two.last_report(host).unwrap(), None);
}

#[test]
fn what_cannot_be_told_takes_limited_memory_and_others_see_that_it_is_missing() {
    let (_one, one, child) = host();
    let (_two, two, own) = host();
    one.change_members(child, &[change(1, &[7], &[])]).unwrap();
    tell((&one, child), &two);
    let (host, last) = one.own_host().unwrap();
    // While the broker is away, many come and go.
    for id in 100..100_000 {
        one.change_members(child, &[change(1, &[], &[id])]).unwrap();
        if one.own_host().unwrap().1 > last {
            let next = one.take_untold(child, usize::MAX).unwrap().unwrap();
            assert_eq!(next.number, last + 2);
            let parts = one.take_whole(child, 1 << 16).unwrap();
            assert_eq!(parts.len(), 1);
            let whole = parts[0].changes.clone();
            assert_eq!(whole, [change(1, &[7], &[])]);
            two.hear((host, parts[0].number), whole, true).unwrap();
            assert_eq!(members(&two, own), [7]);
            return;
        }
    }
    panic!("there is no limit");
}

#[test]
fn what_changes_while_the_whole_is_told_is_told_again() {
    let (_one, one, child) = host();
    one.change_members(child, &[change(1, &[7], &[])]).unwrap();
    let whole = one.take_whole(child, 1 << 16).unwrap();
    assert_eq!(whole[0].changes, [change(1, &[7], &[])]);
    assert_eq!(one.take_untold(child, 1 << 16).unwrap(), None);
    one.change_members(child, &[change(2, &[8], &[])]).unwrap();
    let next = one.take_untold(child, 1 << 16).unwrap().unwrap();
    assert_eq!(next.number, whole[0].number + 1);
    assert_eq!(next.changes, [change(2, &[8], &[])]);
}

#[test]
fn a_child_without_a_broker_tells_its_host_and_counts_no_other() {
    let (directory, one, child) = host();
    let (_two, two, own) = host();
    two.change_members(own, &[change(1, &[7], &[])]).unwrap();
    tell((&two, own), &one);
    let other = ChildId::own(2);
    drop(one);
    let mut log = Log::open(directory.path(), 4 << 20).unwrap();
    log.change_members(other, &[change(1, &[8], &[])]).unwrap();
    assert_eq!(log.count_elsewhere((space(), TOPIC), child).unwrap(), 1);
    assert_eq!(members(&log, child), [8]);
    log.set_source(Source {
        id: SourceId::named("redis://here"),
        has_holes: false,
    });
    assert_eq!(log.count_elsewhere((space(), TOPIC), child).unwrap(), 2);
    assert_eq!(members(&log, child), [7, 8]);
    let told = log.take_untold(child, 1 << 16).unwrap().unwrap();
    assert_eq!(told.changes, [change(1, &[8], &[])]);
}
