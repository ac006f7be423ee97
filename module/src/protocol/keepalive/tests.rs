use super::{Due, Ending, Findings, Keepalive, Lifespan, Outgoing, Unread};
use crate::protocol::{OutputState, Version};
use std::cell::Cell;
use std::time::{Duration, Instant};

const WRITTEN: OutputState = OutputState::Written { has_close: false };

/// Pinged after 30 s, and given up 20 s later.
const PINGED: Lifespan = Lifespan {
    ping_interval: Some(Duration::from_secs(30)),
    ping_timeout: Duration::from_secs(20),
    idle_timeout: None,
    message_timeout: None,
    lifetime: None,
};

/// A connection, and the seconds that have passed.
struct Case {
    keepalive: Keepalive,
    start: Instant,
    output: OutputState,
    unread: Unread,
    received: u64,
    unfinished: Option<u32>,
    sent: Cell<u64>,
    taken: Cell<Option<u64>>,
    /// How often the bytes taken were asked for: that is a system call.
    asked: Cell<u32>,
}

impl Outgoing for Case {
    fn messages_sent(&self) -> u64 {
        self.sent.get()
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.asked.set(self.asked.get() + 1);
        self.taken.get()
    }
}

impl Case {
    fn new(lifespan: &Lifespan) -> Self {
        let start = Instant::now();
        Self {
            keepalive: Keepalive::new(lifespan, start),
            start,
            output: WRITTEN,
            unread: Unread::Nothing,
            received: 0,
            unfinished: None,
            sent: Cell::new(0),
            taken: Cell::new(Some(1000)),
            asked: Cell::new(0),
        }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    /// A turn in which bytes of the client are read.
    fn hear(&mut self, second: u64) -> Option<Due> {
        self.keepalive.begin(self.at(second));
        self.keepalive.heard();
        self.turn(second)
    }

    fn turn(&mut self, second: u64) -> Option<Due> {
        self.keepalive.begin(self.at(second));
        let findings = Findings {
            output: self.output,
            unread: self.unread,
            received: self.received,
            unfinished: self.unfinished,
        };
        let mut keepalive = std::mem::replace(
            &mut self.keepalive,
            Keepalive::new(&Lifespan::default(), self.start),
        );
        let due = keepalive.due(findings, self);
        self.keepalive = keepalive;
        due
    }

    /// The second of the next look.
    fn next(&self) -> Option<u64> {
        let check_at = self.keepalive.check_at()?;
        Some((check_at - self.start).as_secs())
    }

    fn pending_since(&mut self, second: u64) {
        self.pending(second, 1);
    }

    fn pending(&mut self, second: u64, waiting: usize) {
        self.output = OutputState::Pending {
            since: self.at(second),
            retry: None,
            waiting,
        };
    }
}

fn ping(number: u8) -> Option<Due> {
    Some(Due::Ping([0, 0, 0, number]))
}

const SILENT: Option<Due> = Some(Due::End(Ending::Silent));

#[test]
fn a_client_that_answers_lives_and_one_that_does_not_is_gone_after_both_times() {
    let mut case = Case::new(&PINGED);
    assert_eq!(case.next(), Some(30));
    assert_eq!(case.turn(29), None);
    assert_eq!(case.turn(30), ping(1));
    assert_eq!(case.next(), Some(50));
    assert_eq!(case.hear(31), None);
    // Nothing is due before the time that was set, so a busy connection sets no timer.
    assert_eq!(case.next(), Some(50));
    assert_eq!(case.turn(50), None);
    assert_eq!(case.next(), Some(61));
    assert_eq!(case.turn(61), ping(2));
    assert_eq!(case.turn(80), None);
    assert_eq!(case.turn(81), SILENT);
    assert_eq!(case.next(), None, "nothing is due any more");
    assert_eq!(case.turn(1000), None);
}

#[test]
fn an_interval_shorter_than_the_timeout_is_kept() {
    let mut case = Case::new(&Lifespan {
        ping_interval: Some(Duration::from_secs(5)),
        ..PINGED
    });
    assert_eq!(case.turn(5), ping(1));
    assert_eq!(case.hear(6), None);
    assert_eq!(case.next(), Some(10));
    assert_eq!(case.turn(10), None);
    assert_eq!(case.next(), Some(11));
    assert_eq!(case.turn(11), ping(2));
    assert_eq!(case.turn(16), None);
    assert_eq!(case.next(), Some(31), "no ping while one is not answered");
    assert_eq!(case.turn(31), SILENT);
}

#[test]
fn a_client_that_sends_anything_is_not_pinged() {
    let mut case = Case::new(&PINGED);
    for second in (10..300).step_by(10) {
        assert_eq!(case.hear(second), None, "{second}");
    }
    assert_eq!(case.asked.get(), 0);
}

#[test]
fn a_late_turn_pings_and_gives_the_client_its_time() {
    let mut case = Case::new(&PINGED);
    // A callback took so long.
    assert_eq!(case.turn(500), ping(1));
    assert_eq!(case.turn(519), None);
    assert_eq!(case.turn(520), SILENT);
}

#[test]
fn a_client_that_takes_output_lives_although_it_sends_nothing() {
    let mut case = Case::new(&PINGED);
    // What waits here.
    case.pending_since(25);
    assert_eq!(case.turn(30), None);
    assert_eq!(case.next(), Some(55));
    case.pending_since(25);
    assert_eq!(case.turn(55), ping(1));
    case.pending_since(70);
    assert_eq!(case.turn(75), None);
    assert_eq!(case.next(), Some(90));
    // What waits in the system.
    case.output = WRITTEN;
    case.taken.set(Some(100_000));
    assert_eq!(case.turn(90), None);
    assert_eq!(case.next(), Some(110));
    // Its system took the ping, and nothing before it.
    case.taken.set(Some(100_080));
    assert_eq!(case.turn(110), SILENT);
}

#[test]
fn a_client_that_takes_nothing_is_gone_although_much_waits_for_it() {
    let mut case = Case::new(&PINGED);
    case.pending_since(0);
    assert_eq!(case.turn(30), ping(1));
    assert_eq!(case.turn(50), SILENT);
}

#[test]
fn where_nobody_knows_what_the_client_takes_the_answer_counts_alone() {
    let mut case = Case::new(&PINGED);
    case.taken.set(None);
    assert_eq!(case.turn(30), ping(1));
    assert_eq!(case.turn(50), SILENT);
}

#[test]
fn a_client_is_not_given_up_before_all_that_it_sent_is_read() {
    let mut case = Case::new(&PINGED);
    assert_eq!(case.turn(30), ping(1));
    case.unread = Unread::Some;
    assert_eq!(case.turn(50), None);
    assert_eq!(case.next(), Some(50), "one of the next turns looks again");
    assert!(
        case.keepalive.check_at() > Some(case.at(50)),
        "not at once, again and again"
    );
    assert_eq!(case.hear(51), None);
    assert_eq!(case.next(), Some(81));
}

#[test]
fn the_round_trip_is_that_of_the_last_ping_with_an_answer() {
    let mut case = Case::new(&PINGED);
    case.keepalive.pong(&[0; 4]);
    assert_eq!(case.keepalive.round_trip(), None, "nobody has asked");
    assert_eq!(case.turn(30), ping(1));
    for (second, payload, expected) in [
        (31, &[0, 0, 0, 2][..], None),
        (32, b"", None),
        (33, &[0, 0, 0, 1], Some(3)),
        (34, &[0, 0, 0, 1], Some(3)),
    ] {
        case.keepalive.begin(case.at(second));
        case.keepalive.heard();
        case.keepalive.pong(payload);
        let expected = expected.map(Duration::from_secs);
        assert_eq!(case.keepalive.round_trip(), expected, "{second}");
    }
    assert_eq!(case.turn(64), ping(2));
    assert_eq!(case.keepalive.round_trip(), Some(Duration::from_secs(3)));
}

#[test]
fn a_connection_without_messages_ends_at_most_a_quarter_late() {
    let idle = Lifespan {
        idle_timeout: Some(Duration::from_secs(40)),
        ..Lifespan::default()
    };
    let end = Some(Due::End(Ending::Idle));
    let mut case = Case::new(&idle);
    assert_eq!(case.next(), Some(10));
    // Bytes are no messages.
    for second in [10, 20, 30] {
        assert_eq!(case.hear(second), None);
        assert_eq!(case.next(), Some(second + 10));
    }
    assert_eq!(case.hear(40), end);

    let mut case = Case::new(&idle);
    case.received = 1;
    assert_eq!(case.turn(10), None);
    assert_eq!(case.turn(40), None);
    case.sent.set(1);
    assert_eq!(case.turn(49), None, "nobody looks between");
    assert_eq!(case.turn(50), None);
    // A long message that is being taken.
    case.pending_since(0);
    assert_eq!(case.turn(80), None);
    case.output = WRITTEN;
    assert_eq!(case.turn(119), None);
    assert_eq!(case.turn(120), end);
}

#[test]
fn a_connection_ends_when_it_is_old_however_busy_it_is() {
    let mut case = Case::new(&Lifespan {
        lifetime: Some(Duration::from_secs(100)),
        ..PINGED
    });
    case.unread = Unread::Some;
    for second in (5..100).step_by(5) {
        case.received += 1;
        assert_eq!(case.hear(second), None);
    }
    assert_eq!(case.hear(100), Some(Due::End(Ending::Aged)));
    assert_eq!(case.next(), None);
}

/// Half a message is kept for 60 s.
const KEPT: Lifespan = Lifespan {
    ping_interval: None,
    ping_timeout: Duration::ZERO,
    idle_timeout: None,
    message_timeout: Some(Duration::from_secs(60)),
    lifetime: None,
};

const STUCK: Option<Due> = Some(Due::End(Ending::Stuck));

#[test]
fn half_a_message_may_take_any_time_as_long_as_more_arrives() {
    let mut case = Case::new(&KEPT);
    assert_eq!(case.next(), None, "there is nothing to wait for");
    for second in (0..500).step_by(50) {
        case.unfinished = Some(u32::try_from(second).unwrap() + 1);
        assert_eq!(case.hear(second), None, "{second}");
    }
    // Pongs are no progress.
    assert_eq!(case.hear(460), None);
    assert_eq!(case.hear(509), None);
    assert_eq!(case.hear(510), STUCK);
}

#[test]
fn the_time_begins_anew_with_the_next_message() {
    let mut case = Case::new(&KEPT);
    case.unfinished = Some(1);
    assert_eq!(case.hear(0), None);
    case.unfinished = None;
    assert_eq!(case.hear(1), None);
    assert_eq!(case.turn(60), None);
    assert_eq!(case.next(), None);
    case.unfinished = Some(2);
    assert_eq!(case.hear(100), None);
    assert_eq!(case.turn(159), None);
    assert_eq!(case.turn(160), STUCK);
}

#[test]
fn a_client_that_is_not_read_from_cannot_finish_its_message() {
    let mut case = Case::new(&KEPT);
    case.unfinished = Some(1);
    assert_eq!(case.hear(0), None);
    case.pending(10, 1 << 20);
    assert_eq!(case.turn(10), None);
    assert_eq!(case.turn(70), None);
    case.output = WRITTEN;
    assert_eq!(case.turn(120), None, "it may go on from here");
    case.unread = Unread::Some;
    assert_eq!(case.turn(180), None, "there is more to read");
    case.unread = Unread::Nothing;
    assert_eq!(case.turn(181), STUCK);
}

#[test]
fn what_is_read_only_when_the_client_has_taken_output_may_be_the_rest_of_its_message() {
    let mut case = Case::new(&KEPT);
    case.unfinished = Some(1);
    assert_eq!(case.hear(0), None);
    case.pending(10, 1);
    case.unread = Unread::HeldBack;
    assert_eq!(case.turn(59), None);
    assert_eq!(case.turn(119), None);
    case.output = WRITTEN;
    case.unread = Unread::Nothing;
    assert_eq!(case.turn(130), None, "it may go on from here");
    assert_eq!(case.turn(189), None);
    assert_eq!(case.turn(190), STUCK);
}

#[test]
fn the_earliest_of_all_times_is_waited_for() {
    let all = Lifespan {
        idle_timeout: Some(Duration::from_secs(200)),
        lifetime: Some(Duration::from_secs(60)),
        ..PINGED
    };
    let mut case = Case::new(&all);
    assert_eq!(case.next(), Some(30));
    assert_eq!(case.turn(30), ping(1));
    assert_eq!(case.next(), Some(50));
    assert_eq!(case.hear(45), None);
    assert_eq!(case.turn(50), None);
    assert_eq!(case.next(), Some(60));
    assert_eq!(Case::new(&Lifespan::default()).next(), None);
}

#[test]
fn an_ending_has_a_code_of_the_version() {
    for (ending, code) in [
        (Ending::Silent, 1011),
        (Ending::Idle, 1001),
        (Ending::Stuck, 1008),
        (Ending::Aged, 1012),
    ] {
        assert_eq!(ending.close_code(Version::V13).get(), code);
        assert_eq!(ending.close_code(Version::V8).get(), 1001);
    }
}

#[test]
fn a_paused_client_lives_for_as_long_as_its_system_takes_pings() {
    let mut case = Case::new(&PINGED);
    case.unread = Unread::Paused;
    let mut taken = 1000;
    for number in 1..4 {
        let second = 30 + 50 * (u64::from(number) - 1);
        assert_eq!(case.turn(second), ping(number));
        taken += 6;
        case.taken.set(Some(taken));
        assert_eq!(case.turn(second + 20), None);
    }
    assert_eq!(case.turn(180), ping(4));
    assert_eq!(case.turn(199), None);
    assert_eq!(case.turn(200), SILENT, "its system took nothing");
}

#[test]
fn a_paused_client_of_which_nobody_knows_what_it_takes_lives() {
    let mut case = Case::new(&PINGED);
    case.taken.set(None);
    case.unread = Unread::Paused;
    assert_eq!(case.turn(30), ping(1));
    assert_eq!(case.turn(50), None);
    assert_eq!(case.turn(80), ping(2));
}

#[test]
fn a_client_has_its_time_to_answer_after_a_pause_and_the_late_pong_is_not_measured() {
    let mut case = Case::new(&PINGED);
    assert_eq!(case.turn(30), ping(1));
    case.unread = Unread::Paused;
    assert_eq!(case.turn(40), None);
    case.unread = Unread::Nothing;
    assert_eq!(case.turn(49), None);
    assert_eq!(case.turn(68), None);
    case.keepalive.begin(case.at(68));
    case.keepalive.heard();
    case.keepalive.pong(&[0, 0, 0, 1]);
    assert_eq!(case.keepalive.round_trip(), None);
    let mut case = Case::new(&PINGED);
    assert_eq!(case.turn(30), ping(1));
    case.unread = Unread::Paused;
    assert_eq!(case.turn(40), None);
    case.unread = Unread::Nothing;
    assert_eq!(case.turn(49), None);
    assert_eq!(case.turn(69), SILENT);
}
