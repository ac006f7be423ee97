use super::{Caller, Closed, Closer, Closing, Frame, Level, Offer, Queue, Traffic, Writing};
use crate::budget::STEP;

const LIMIT: usize = 8;

const NONE: Traffic = Traffic {
    messages: 0,
    bytes: 0,
};

const TEXT: Frame<'_> = Frame {
    header: b"\x81\x01",
    payload: b"a",
    closes: None,
    traffic: Traffic::message(1),
    shared: None,
};

const PONG: Frame<'_> = Frame {
    header: b"\x8a\x02",
    payload: b"bc",
    closes: None,
    traffic: NONE,
    shared: None,
};

const CLOSE: Frame<'_> = Frame {
    header: b"\x88\x02",
    payload: b"\x03\xe8",
    closes: Some(Closer::Plugin),
    traffic: NONE,
    shared: None,
};

/// Longer than a queue may get before no more is accepted.
const LARGE: Frame<'_> = Frame {
    header: b"\x82\x07",
    payload: b"larger!",
    closes: None,
    traffic: Traffic::message(7),
    shared: None,
};

/// The queue of a connection that a thread drives.
fn queue() -> Queue {
    Queue::new(LIMIT, false)
}

fn taken(queue: &mut Queue) -> Vec<u8> {
    let mut writing = Writing::default();
    queue.take(0, &mut writing);
    writing.with_slices(|slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
}

#[test]
fn frames_leave_in_the_order_they_came() {
    let mut queue = queue();
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
    assert_eq!(queue.push(PONG, Caller::Thread), Ok(Offer::Accepted));
    assert_eq!(taken(&mut queue), b"\x81\x01a\x8a\x02bc");
    assert!(taken(&mut queue).is_empty());
}

#[test]
fn one_sender_is_asked_to_have_the_queue_written_each_time_it_was_taken() {
    let mut queue = queue();
    for _ in 0..2 {
        assert_eq!(queue.push(TEXT, Caller::Callback), Ok(Offer::Due));
        assert_eq!(queue.push(TEXT, Caller::Thread), Ok(Offer::Accepted));
        let bytes = taken(&mut queue);
        queue.written(bytes.len());
    }
}

#[test]
fn nobody_is_asked_to_write_what_a_loop_gathers_until_the_turn_takes_long() {
    let mut queue = Queue::new(1000, true);
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
    assert!(queue.stop_gathering(), "the first frame is due");
    assert!(!queue.stop_gathering(), "somebody was asked already");
    let bytes = taken(&mut queue);
    queue.written(bytes.len());
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
    taken(&mut queue);
    queue.gather();
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
    assert_eq!(queue.push(TEXT, Caller::Callback), Ok(Offer::Due));
}

#[test]
fn bytes_count_until_they_are_written() {
    let mut queue = queue();
    assert_eq!(queue.push(PONG, Caller::Own), Ok(Offer::Due));
    let frame = taken(&mut queue);
    assert_eq!(queue.level().waiting, frame.len());
    queue.written(3);
    assert_eq!(queue.level().waiting, frame.len() - 3);
}

#[test]
fn one_message_may_overshoot_the_limit_and_the_next_finds_no_room() {
    let mut queue = queue();
    assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Full));
    let frame = taken(&mut queue);
    queue.written(frame.len() - LIMIT + 1);
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
}

#[test]
fn a_message_bypasses_an_empty_queue_only() {
    let mut queue = queue();
    assert_eq!(queue.bypass(&PONG), Ok(true));
    assert_eq!(queue.level().waiting, 4);
    assert_eq!(queue.bypass(&TEXT), Ok(false));
    queue.written(4);
    assert_eq!(queue.bypass(&CLOSE), Ok(false));
    assert_eq!(queue.bypass(&TEXT), Ok(true));
    queue.seal();
    assert_eq!(queue.bypass(&TEXT), Err(Closed));
}

#[test]
fn nothing_follows_a_close_frame() {
    let mut queue = queue();
    assert_eq!(queue.push(CLOSE, Caller::Own), Ok(Offer::Due));
    assert!(queue.level().has_close);
    for late in [TEXT, PONG, CLOSE] {
        assert_eq!(queue.push(late, Caller::Own), Err(Closed));
    }
    assert_eq!(taken(&mut queue), b"\x88\x02\x03\xe8");
}

#[test]
fn a_close_frame_needs_no_room() {
    let mut queue = queue();
    assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
    assert_eq!(queue.push(CLOSE, Caller::Own), Ok(Offer::Accepted));
}

#[test]
fn progress_is_told_while_senders_wait_for_room() {
    let mut queue = queue();
    assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
    taken(&mut queue);
    assert!(!queue.written(1).is_waited_for);
    queue.begin_wait();
    assert!(queue.needs_help());
    assert!(queue.written(1).is_waited_for);
    assert!(!queue.written(0).is_waited_for, "no progress");
    queue.end_wait();
    assert!(!queue.written(1).is_waited_for);
    assert!(!queue.needs_help());
}

#[test]
fn what_the_writer_has_taken_is_held_until_all_of_it_is_written() {
    let mut queue = queue();
    let mut writing = Writing::default();
    assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Due));
    assert_eq!(queue.held(), LARGE.len());
    queue.take(0, &mut writing);
    queue.written(LARGE.len() - 1);
    assert_eq!((queue.level().waiting, queue.held()), (1, LARGE.len()));
    assert_eq!(queue.push(PONG, Caller::Own), Ok(Offer::Due));
    assert_eq!(queue.held(), LARGE.len() + PONG.len());
    writing.advance(LARGE.len());
    queue.take(1, &mut writing);
    assert_eq!(queue.held(), PONG.len());
    queue.discard();
    assert_eq!(queue.held(), 0);
}

#[test]
fn a_callback_keeps_the_session_from_writing() {
    let mut queue = queue();
    assert!(!queue.set_in_callback(true));
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
    assert!(queue.needs_help());
    assert!(queue.set_in_callback(false));
    assert!(!queue.needs_help());
}

#[test]
fn a_discarded_queue_is_empty_and_takes_nothing() {
    let mut queue = queue();
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Due));
    queue.discard();
    let empty = Level {
        waiting: 0,
        has_close: false,
    };
    assert_eq!(queue.level(), empty);
    assert!(taken(&mut queue).is_empty());
    assert_eq!(queue.push(TEXT, Caller::Own), Err(Closed));
}

#[test]
fn messages_count_when_they_are_accepted_and_control_frames_do_not() {
    let mut queue = queue();
    assert_eq!(queue.bypass(&TEXT), Ok(true));
    queue.written(TEXT.len());
    for frame in [TEXT, PONG, LARGE] {
        queue.push(frame, Caller::Own).unwrap();
    }
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Full));
    assert_eq!(queue.bypass(&TEXT), Ok(false));
    queue.push(CLOSE, Caller::Own).unwrap();
    assert_eq!(queue.push(TEXT, Caller::Own), Err(Closed));
    let (messages, bytes) = (3, 1 + 1 + 7);
    assert_eq!(queue.account().0, Traffic { messages, bytes });
}

#[test]
fn the_first_to_close_is_the_one_who_did() {
    let mut queue = queue();
    assert_eq!(queue.account().1, None);
    queue.push(CLOSE, Caller::Thread).unwrap();
    queue.note_closing(|| Closing::without_frame(Closer::Lost));
    let by_plugin = Closing::with_frame(Closer::Plugin, CLOSE.payload);
    assert_eq!(queue.account().1, Some(by_plugin));
    let mut queue = self::queue();
    queue.note_closing(|| Closing::with_frame(Closer::Client, b"\x03\xe9"));
    queue.push(CLOSE, Caller::Own).unwrap();
    assert_eq!(queue.account().1.unwrap().code, 1001);
}

/// A fragment of a message that is being written.
const PIECE: Frame<'_> = Frame {
    header: b"\x00\x01",
    payload: b"p",
    closes: None,
    traffic: Traffic {
        messages: 0,
        bytes: 1,
    },
    shared: None,
};

const LAST: Frame<'_> = Frame {
    header: b"\x80\x01",
    payload: b"q",
    traffic: Traffic::message(1),
    ..PIECE
};

#[test]
fn messages_wait_behind_one_that_is_written_and_control_frames_do_not() {
    let mut queue = queue();
    queue.begin_message().unwrap();
    assert!(queue.is_composing());
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
    let pushed = queue.push_fragment(PIECE, false, Caller::Own);
    assert_eq!(pushed, Ok(Offer::Due));
    assert_eq!(queue.push(PONG, Caller::Own), Ok(Offer::Accepted));
    assert_eq!(taken(&mut queue), b"\x00\x01p\x8a\x02bc");
    queue.written(7);
    assert_eq!((queue.waiting(), queue.is_composing()), (3, true));
    let pushed = queue.push_fragment(LAST, true, Caller::Own);
    assert_eq!(pushed, Ok(Offer::Due));
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
    assert_eq!(taken(&mut queue), b"\x80\x01q\x81\x01a\x81\x01a");
    queue.written(9);
    assert_eq!((queue.waiting(), queue.is_composing()), (0, false));
    let sent = Traffic {
        messages: 3,
        bytes: 4,
    };
    assert_eq!(queue.account().0, sent);
}

#[test]
fn what_waits_behind_a_message_takes_no_room_of_its_fragments() {
    let mut queue = queue();
    queue.begin_message().unwrap();
    assert_eq!(queue.push(LARGE, Caller::Own), Ok(Offer::Accepted));
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Full));
    assert_eq!(queue.takes_fragments(), Ok(true));
    for offer in [Offer::Due, Offer::Accepted, Offer::Accepted, Offer::Full] {
        let pushed = queue.push_fragment(PIECE, false, Caller::Thread);
        assert_eq!(pushed, Ok(offer));
    }
    assert_eq!(queue.push(PONG, Caller::Own), Ok(Offer::Full));
    assert_eq!(queue.push(CLOSE, Caller::Own), Ok(Offer::Accepted));
}

#[test]
fn a_close_frame_ends_a_message_that_is_written_and_what_is_behind() {
    let mut queue = queue();
    queue.begin_message().unwrap();
    queue.push(TEXT, Caller::Own).unwrap();
    queue.push_fragment(PIECE, false, Caller::Own).unwrap();
    queue.push(CLOSE, Caller::Own).unwrap();
    assert_eq!(queue.waiting(), 7);
    let pushed = queue.push_fragment(LAST, true, Caller::Own);
    assert_eq!(pushed, Err(Closed));
    assert_eq!(queue.push(TEXT, Caller::Own), Err(Closed));
    assert_eq!(queue.begin_message(), Err(Closed));
    assert_eq!(taken(&mut queue), b"\x00\x01p\x88\x02\x03\xe8");
}

#[test]
fn no_message_goes_directly_while_another_one_is_written() {
    let mut queue = queue();
    queue.begin_message().unwrap();
    assert_eq!(queue.bypass(&LARGE), Ok(false));
}

#[test]
fn nothing_is_accepted_behind_a_message_whose_writer_is_lost() {
    let mut queue = queue();
    queue.begin_message().unwrap();
    let now = std::time::Instant::now();
    queue.expect_writer(Some(now + std::time::Duration::from_secs(60)));
    assert!(!queue.is_abandoned());
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
    queue.expect_writer(Some(now));
    assert!(queue.is_abandoned());
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Full));
    queue.expect_writer(None);
    assert_eq!(queue.push(TEXT, Caller::Own), Ok(Offer::Accepted));
}

#[test]
fn no_message_begins_inside_another_one() {
    let mut queue = queue();
    queue.begin_message().unwrap();
    assert_eq!(queue.begin_message(), Err(Closed));
    assert_eq!(queue.push_fragment(TEXT, true, Caller::Own), Ok(Offer::Due));
    assert_eq!(queue.begin_message(), Ok(()));
}

#[test]
fn what_waits_behind_a_message_is_not_counted_after_the_end() {
    let payload = [b'x'; 2 * STEP];
    let frame = Frame {
        payload: &payload,
        ..TEXT
    };
    let mut queue = Queue::new(4 * STEP, false);
    queue.begin_message().unwrap();
    queue.push(frame, Caller::Own).unwrap();
    assert_eq!(queue.charge.bytes(), 2 * STEP);
    queue.seal();
    assert_eq!((queue.charge.bytes(), queue.waiting()), (0, 0));
}
