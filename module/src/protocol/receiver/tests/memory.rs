//! Buffers: where payloads are stored, how memory depends on the bytes received, and when it is
//! freed.

use super::{Event, Input, LIMITS, Outcome, Receiver, feed, frame, header, receive_into_spare};
use crate::protocol::{Limits, MessageKind, Opcode};

const MIB: usize = 1024 * 1024;

#[test]
fn complete_frames_are_lent_without_a_copy() {
    let mut bytes = [
        frame(true, Opcode::Text, "Hello"),
        frame(true, Opcode::Ping, "p"),
    ]
    .concat();
    let mut receiver = Receiver::new(LIMITS);
    let len = bytes.len();
    bytes.push(0);
    let place = bytes.as_ptr_range();
    let mut input = Input::new(&mut bytes, len);
    let Ok(Some(Event::Message {
        kind: MessageKind::Text,
        mut payload,
    })) = receiver.receive(&mut input)
    else {
        panic!("no text");
    };
    assert!(place.contains(&payload.as_ptr()));
    payload.fill(0);
    drop(payload);
    let Ok(Some(Event::Ping(payload))) = receiver.receive(&mut input) else {
        panic!("no ping");
    };
    assert!(place.contains(&payload.as_ptr()));
}

#[test]
fn large_frames_are_read_directly_into_the_message() {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(MIB + 7).collect();
    let bytes = [
        frame(false, Opcode::Binary, &payload),
        frame(true, Opcode::Continuation, &payload),
        frame(true, Opcode::Text, "next"),
    ]
    .concat();
    let expected = [
        Outcome::Binary([payload.as_slice(), &payload].concat()),
        super::text("next"),
    ];
    for size in [999, 65_536, usize::MAX] {
        assert!(
            receive_into_spare(LIMITS, &bytes, size) == expected,
            "reads of {size}"
        );
    }
}

#[test]
fn large_texts_are_checked_however_reads_cut_them() {
    let payload = "0123456789\u{20ac}\u{1f4a9}".repeat(4000);
    let bytes = frame(true, Opcode::Text, &payload);
    for size in [997, 4096, 16_385, 65_535] {
        assert!(
            receive_into_spare(LIMITS, &bytes, size) == [super::text(&payload)],
            "{size}"
        );
    }
}

#[test]
fn there_is_spare_room_only_if_many_bytes_are_missing() {
    let mut receiver = Receiver::new(LIMITS);
    assert_eq!(receiver.spare(), None);
    assert_eq!(receiver.filled(0), Ok(None));
    feed(
        &mut receiver,
        &header(false, Opcode::Binary, 16 * 1024),
        &mut Vec::new(),
    );
    assert_eq!(receiver.spare().map(|spare| spare.len()), Some(16 * 1024));
    feed(&mut receiver, &[0], &mut Vec::new());
    assert_eq!(receiver.spare(), None);
}

#[test]
#[should_panic(expected = "the spare room was shorter")]
fn more_than_the_spare_room_cannot_be_filled() {
    let mut receiver = Receiver::new(LIMITS);
    feed(
        &mut receiver,
        &header(false, Opcode::Binary, 20_000),
        &mut Vec::new(),
    );
    let _ = receiver.filled(20_001);
}

#[test]
fn memory_depends_on_the_bytes_received_not_announced() {
    let mut receiver = Receiver::new(LIMITS);
    feed(
        &mut receiver,
        &header(true, Opcode::Binary, 32 * 1024 * 1024),
        &mut Vec::new(),
    );
    assert_eq!(receiver.message.capacity(), 0);
    let mut arrived = 0;
    while let Some(spare) = receiver.spare() {
        let n = spare.len().min(5000);
        arrived += n;
        receiver.filled(n).unwrap();
        let capacity = receiver.message.capacity();
        assert!(
            capacity <= arrived * 5 / 4 + 65 * 1024,
            "{capacity} for {arrived}"
        );
    }
}

#[test]
fn many_small_fragments_take_no_more_memory_than_one_large() {
    let limits = Limits {
        max_fragments: u32::MAX,
        ..LIMITS
    };
    let mut receiver = Receiver::new(limits);
    feed(
        &mut receiver,
        &frame(false, Opcode::Text, "a"),
        &mut Vec::new(),
    );
    let fragments = frame(false, Opcode::Continuation, "a").repeat(100_000);
    feed(&mut receiver, &fragments, &mut Vec::new());
    let empty = frame(false, Opcode::Continuation, "").repeat(100_000);
    feed(&mut receiver, &empty, &mut Vec::new());
    assert!(receiver.message.capacity() < 300_000);
    let mut outcomes = Vec::new();
    feed(
        &mut receiver,
        &frame(true, Opcode::Continuation, ""),
        &mut outcomes,
    );
    assert_eq!(outcomes, [super::text(&"a".repeat(100_001))]);
}

#[test]
fn release_frees_empty_buffers_and_keeps_messages_in_progress() {
    let mut receiver = Receiver::new(LIMITS);
    let mut outcomes = Vec::new();
    feed(
        &mut receiver,
        &frame(false, Opcode::Text, "be"),
        &mut outcomes,
    );
    receiver.release();
    feed(
        &mut receiver,
        &frame(true, Opcode::Continuation, "gin"),
        &mut outcomes,
    );
    assert_eq!(outcomes, [super::text("begin")]);
    assert_ne!(receiver.message.capacity(), 0);
    receiver.release();
    assert_eq!(receiver.message.capacity(), 0);
    feed(
        &mut receiver,
        &frame(true, Opcode::Text, "again"),
        &mut outcomes,
    );
    assert_eq!(outcomes.last(), Some(&super::text("again")));
}

#[test]
fn the_end_of_the_input_frees_all_buffers() {
    for last in [
        frame(true, Opcode::Close, ""),
        frame(true, Opcode::Text, "in between"),
    ] {
        let mut receiver = Receiver::new(LIMITS);
        feed(
            &mut receiver,
            &frame(false, Opcode::Text, "begin"),
            &mut Vec::new(),
        );
        feed(&mut receiver, &last, &mut Vec::new());
        assert_eq!(receiver.message.capacity(), 0);
        assert_eq!(receiver.spare(), None);
    }
}
