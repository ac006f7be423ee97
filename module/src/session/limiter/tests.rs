use super::{Excess, Limiter, MessageRate};
use crate::protocol::Rate;
use std::time::{Duration, Instant};

fn limiter(excess: Excess, now: Instant) -> Limiter {
    let rate = Rate::new(10, Duration::from_secs(1), 5).unwrap();
    Limiter::new(MessageRate { rate, excess }, now)
}

#[test]
fn a_client_that_has_to_wait_is_read_from_again_when_there_is_room_for_a_message() {
    let now = Instant::now();
    let step = Duration::from_millis(100);
    let mut limiter = limiter(Excess::Waits, now);
    assert_eq!(limiter.most(now), u64::MAX);
    limiter.count(4);
    assert_eq!(limiter.resumes(now), None);
    limiter.count(1);
    assert_eq!(limiter.resumes(now), Some(now + step));
    assert_eq!(limiter.resumes(now + step), None);
    // The client waits longer for messages beyond the rate.
    limiter.count(3);
    assert_eq!(limiter.resumes(now), Some(now + 4 * step));
    assert_eq!(limiter.resumes(now + 3 * step), Some(now + 4 * step));
    // A client that sends nothing saves up no more than the burst.
    limiter.end(true, true, now + 4 * step);
    limiter.begin(now + 100 * step, now + 4 * step);
    limiter.count(5);
    assert_eq!(limiter.resumes(now + 100 * step), Some(now + 101 * step));
}

#[test]
fn reads_become_short_when_little_is_left() {
    let now = Instant::now();
    let rate = Rate::new(1000, Duration::from_secs(1), 1000).unwrap();
    let excess = Excess::Waits;
    let mut limiter = Limiter::new(MessageRate { rate, excess }, now);
    assert_eq!(limiter.most_bytes(now), 6000);
    limiter.count(500);
    assert_eq!(limiter.most_bytes(now), 3000);
    limiter.count(499);
    assert_eq!(limiter.most_bytes(now), 128);
}

#[test]
fn a_client_that_is_closed_for_it_may_send_exactly_the_burst() {
    let now = Instant::now();
    let mut limiter = limiter(Excess::Closes, now);
    assert_eq!(limiter.most(now), 5);
    assert_eq!(limiter.most_bytes(now), usize::MAX);
    limiter.count(5);
    assert_eq!((limiter.most(now), limiter.resumes(now)), (0, None));
    assert_eq!(limiter.most(now + Duration::from_millis(250)), 2);
}

#[test]
fn what_a_client_has_sent_while_nobody_read_came_in_time() {
    let now = Instant::now();
    let step = Duration::from_millis(100);
    let mut limiter = limiter(Excess::Closes, now);
    limiter.count(5);
    limiter.end(true, true, now);
    // The turn after it begins late: a callback has blocked.
    let ended = now + 20 * step;
    limiter.begin(ended, ended);
    assert_eq!(limiter.most(ended), 20);
    limiter.count(20);
    assert_eq!(limiter.most(ended), 0);
    // A pause of two seconds, in which a turn looks now and then.
    limiter.end(false, true, ended);
    limiter.begin(ended + 10 * step, ended);
    limiter.end(false, true, ended + 10 * step);
    let resumed = ended + 20 * step;
    limiter.begin(resumed, ended + 10 * step);
    assert_eq!(limiter.most(resumed), 20);
    limiter.count(12);
    // All is read: what was not used up does not last, but for the burst.
    limiter.end(true, true, resumed);
    assert_eq!(limiter.most(resumed), 5);
    limiter.begin(resumed + 50 * step, resumed);
    assert_eq!(limiter.most(resumed + 50 * step), 5);
}

#[test]
fn a_client_that_takes_no_output_saves_up_the_messages_of_a_minute() {
    let began = Instant::now();
    let after = |seconds| began + Duration::from_secs(seconds);
    // The client takes a little now and then, so that it is not given up.
    for look in [1, 7, 45] {
        for (seconds, counted) in [(30, 30), (60, 60), (61, 60), (3600, 60)] {
            let mut limiter = limiter(Excess::Closes, began);
            for seconds in (0..seconds).step_by(look) {
                limiter.begin(after(seconds), after(seconds));
                limiter.end(false, false, after(seconds));
            }
            limiter.begin(after(seconds), after(seconds));
            assert_eq!(limiter.most(after(seconds)), 5 + 10 * counted, "{look}");
        }
    }
}

#[test]
fn a_client_saves_up_all_messages_of_a_pause_beside_those_while_it_took_no_output() {
    let began = Instant::now();
    let after = |seconds| began + Duration::from_secs(seconds);
    let mut limiter = limiter(Excess::Closes, began);
    // Nothing but the plugin keeps its messages for an hour.
    limiter.end(false, true, began);
    limiter.begin(after(3600), began);
    assert_eq!(limiter.most(after(3600)), 5 + 10 * 3600);
    // After that it takes no output for an hour.
    limiter.end(false, false, after(3600));
    limiter.begin(after(7200), after(3600));
    assert_eq!(limiter.most(after(7200)), 5 + 10 * (3600 + 60));
    // All is read, and it begins anew.
    limiter.end(true, true, after(7200));
    assert_eq!(limiter.most(after(7200)), 5);
    limiter.end(false, false, after(7201));
    limiter.begin(after(7241), after(7201));
    assert_eq!(limiter.most(after(7241)), 5 + 10 * 41);
}

#[test]
fn a_client_that_has_used_up_its_rate_loses_nothing_by_taking_no_output() {
    let now = Instant::now();
    let step = Duration::from_millis(100);
    let mut limiter = limiter(Excess::Waits, now);
    limiter.count(5 + 1200);
    limiter.end(false, false, now);
    limiter.begin(now + 1200 * step, now);
    assert_eq!(limiter.resumes(now + 1200 * step), Some(now + 1201 * step));
}

#[test]
fn a_client_that_never_stops_gets_the_rate() {
    let now = Instant::now();
    let mut limiter = limiter(Excess::Closes, now);
    let mut sum = 0;
    for milliseconds in 0..=10_000 {
        let now = now + Duration::from_millis(milliseconds);
        limiter.begin(now, now);
        let most = limiter.most(now);
        limiter.count(most);
        limiter.end(milliseconds % 3 == 0, true, now);
        sum += most;
    }
    assert_eq!(sum, 5 + 100);
}
