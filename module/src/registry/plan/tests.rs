use std::time::{Duration, Instant};

use super::{CATCH_UP, DrainTime, Plan, Rate, Wish};

const SECOND: Duration = Duration::from_secs(1);

fn wishes(count: u64, time: Duration) -> Vec<Wish> {
    let drain_time = DrainTime::Limited(time);
    (0..count).map(|id| Wish { id, drain_time }).collect()
}

/// When each connection is closed, counted from `start`. The closing thread comes every `step`.
fn run(plan: &mut Plan, start: Instant, step: Duration, limit: Duration) -> Vec<(Duration, u64)> {
    let mut closed = Vec::new();
    let mut passed = Duration::ZERO;
    while passed <= limit {
        let taken = plan.take_due(start + passed);
        closed.extend(taken.into_iter().map(|id| (passed, id)));
        passed += step;
    }
    closed
}

fn most_in_a_second(closed: &[(Duration, u64)]) -> usize {
    let within = |from: Duration| {
        let until = from + SECOND;
        closed
            .iter()
            .filter(|(at, _)| (from..until).contains(at))
            .count()
    };
    closed.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
}

#[test]
fn connections_are_closed_evenly_over_the_last_fifth_of_the_time_in_any_order() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(500), start);
    plan.spread(wishes(600, 300 * SECOND), start);
    assert!(plan.next().unwrap() >= start + 240 * SECOND);
    let closed = run(&mut plan, start, SECOND / 100, 301 * SECOND);
    assert_eq!(closed.len(), 600);
    assert_eq!(plan.next(), None);
    for (from, until) in [
        (240, 250),
        (250, 260),
        (260, 270),
        (270, 280),
        (280, 290),
        (290, 301),
    ] {
        let within = |at: &Duration| (from * SECOND..until * SECOND).contains(at);
        let count = closed.iter().filter(|(at, _)| within(at)).count();
        assert!((98..=102).contains(&count), "{count} from {from} s on");
    }
    let ids: Vec<_> = closed.iter().map(|(_, id)| *id).collect();
    assert!(!ids.is_sorted());
}

#[test]
fn closing_begins_earlier_if_the_rate_asks_for_it() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(10), start);
    plan.spread(wishes(500, 60 * SECOND), start);
    let next = plan.next().unwrap() - start;
    assert!((9 * SECOND..11 * SECOND).contains(&next), "{next:?}");
    let closed = run(&mut plan, start, SECOND / 100, 61 * SECOND);
    assert_eq!(closed.len(), 500);
    assert!(most_in_a_second(&closed) <= 11);
}

#[test]
fn the_rate_counts_more_than_the_time() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(10), start);
    plan.spread(wishes(50, SECOND), start);
    let closed = run(&mut plan, start, SECOND / 100, 6 * SECOND);
    assert_eq!(closed.len(), 50);
    assert!(most_in_a_second(&closed) <= 11);
    assert!(closed[49].0 > 4 * SECOND);
}

#[test]
fn two_groups_at_the_same_time_keep_the_rate_together() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(100), start);
    let times = [SECOND, SECOND + SECOND / 10];
    let all = (0..200).map(|id: u64| Wish {
        id,
        drain_time: DrainTime::Limited(times[usize::from(id.is_multiple_of(2))]),
    });
    plan.spread(all.collect(), start);
    let closed = run(&mut plan, start, SECOND / 100, 4 * SECOND);
    assert_eq!(closed.len(), 200);
    let most = 100 + CATCH_UP.as_millis() as usize / 10 + 1;
    assert!(most_in_a_second(&closed) <= most);
}

#[test]
fn a_time_of_zero_is_at_once_and_without_a_limit_nothing_is_closed() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(1), start);
    plan.spread(wishes(100, Duration::ZERO), start);
    let drain_time = DrainTime::Unlimited;
    plan.spread(
        vec![Wish {
            id: 1000,
            drain_time,
        }],
        start,
    );
    assert_eq!(plan.take_due(start).len(), 100);
    assert_eq!(plan.next(), None);
}

#[test]
fn a_stop_with_a_limit_keeps_it_whatever_the_rate() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(10), start);
    let mut all = wishes(500, 300 * SECOND);
    plan.spread(all.clone(), start);
    all.push(Wish {
        id: 500,
        drain_time: DrainTime::Unlimited,
    });
    plan.limit(&all, 5 * SECOND, start);
    let closed = run(&mut plan, start, SECOND / 100, 5 * SECOND + SECOND / 10);
    assert_eq!(closed.len(), 501);
}

#[test]
fn a_limit_never_makes_it_later() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(500), start);
    let all = wishes(10, SECOND);
    plan.spread(all.clone(), start);
    plan.limit(&all, 60 * SECOND, start);
    assert_eq!(run(&mut plan, start, SECOND / 100, SECOND).len(), 10);
}

#[test]
fn in_a_hurry_the_rate_alone_counts() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(100), start);
    let mut all = wishes(200, 300 * SECOND);
    all[0].drain_time = DrainTime::Unlimited;
    plan.spread(all.clone(), start);
    plan.hurry(all, start + SECOND);
    let closed = run(&mut plan, start, SECOND / 100, 4 * SECOND);
    assert_eq!(closed.len(), 200);
    assert!(closed[0].0 < SECOND + SECOND / 10);
    assert!(most_in_a_second(&closed) <= 106);
}

#[test]
fn who_comes_late_is_closed_with_the_others() {
    let start = Instant::now();
    let mut plan = Plan::new(Rate(500), start);
    let drain_time = DrainTime::Limited(10 * SECOND);
    plan.add(Wish { id: 1, drain_time }, start + SECOND);
    let next = plan.next().unwrap() - start;
    assert!((8 * SECOND..10 * SECOND).contains(&next), "{next:?}");
    plan.take_due(start + 10 * SECOND);
    let late = start + 60 * SECOND;
    plan.add(Wish { id: 2, drain_time }, late);
    assert_eq!(plan.take_due(late), [2]);
}
