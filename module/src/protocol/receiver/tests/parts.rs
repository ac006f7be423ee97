//! Messages that are handed out in parts. Each test that calls `check` covers them, too.

use super::deflate::{compressed, deflated, each_context};
use super::{
    Event, Input, LIMITS, Outcome, Receiver, feed, frame, header, receive_by, receive_into_spare_of,
};
use crate::protocol::message::PART;
use crate::protocol::{Limits, MessageKind, Opcode, ProtocolError};
use Opcode::{Binary, Continuation, Ping, Text};

const MIB: usize = 1024 * 1024;

/// The outcomes with whole messages in place of their last parts. Parts of a message that does not
/// end are dropped.
pub(super) fn joined(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut message = None;
    let mut whole = Vec::new();
    for outcome in outcomes {
        let Outcome::Part(kind, bytes, [is_first, is_last]) = outcome else {
            assert!(
                message.is_none() || !matches!(outcome, Outcome::Text(_) | Outcome::Binary(_)),
                "a message inside another one"
            );
            whole.push(outcome);
            continue;
        };
        assert_eq!(is_first, message.is_none());
        assert!(is_last || !bytes.is_empty(), "only the last part is empty");
        assert!(kind == MessageKind::Binary || str::from_utf8(&bytes).is_ok());
        let (begun, message_bytes) = message.get_or_insert((kind, Vec::new()));
        assert_eq!(*begun, kind);
        message_bytes.extend(bytes);
        if is_last {
            whole.extend(message.take().map(|(kind, bytes)| match kind {
                MessageKind::Text => Outcome::Text(String::from_utf8(bytes).unwrap()),
                MessageKind::Binary => Outcome::Binary(bytes),
            }));
        }
    }
    whole
}

/// Checks the outcomes of a receiver that hands out parts. It may find a mistake in a compressed
/// message earlier: one that waits for the end of the message does not inflate all that has come.
pub(super) fn compare(name: &str, outcomes: &[Outcome], expected: &[Outcome]) {
    match (outcomes.split_last(), expected.split_last()) {
        (Some((found, before)), Some((error @ Outcome::Error(_), all))) => {
            assert_eq!(found, error, "{name}");
            assert!(all.starts_with(before), "{name}: {outcomes:?}");
        }
        _ => assert_eq!(outcomes, expected, "{name}"),
    }
}

fn part(kind: MessageKind, bytes: &str, places: [bool; 2]) -> Outcome {
    Outcome::Part(kind, bytes.into(), places)
}

fn in_parts() -> Receiver {
    Receiver::new(LIMITS).in_parts()
}

#[test]
fn what_has_arrived_is_handed_out_at_the_end_of_each_read() {
    let first = frame(false, Text, "one, ");
    let second = frame(true, Ping, "p");
    let third = frame(false, Continuation, "two, ");
    let last = frame(true, Continuation, "three");
    let reads = [
        [&first, &second, &third[..8]].concat(),
        [&third[8..], &last[..last.len() - 1]].concat(),
        [&last[last.len() - 1..], &frame(true, Text, "next")].concat(),
    ];
    let expected = [
        Outcome::Ping(b"p".into()),
        part(MessageKind::Text, "one, tw", [true, false]),
        part(MessageKind::Text, "o, thre", [false, false]),
        part(MessageKind::Text, "e", [false, true]),
        super::text("next"),
    ];
    let outcomes = receive_by(in_parts(), reads.iter().map(Vec::as_slice));
    assert_eq!(outcomes, expected);
}

#[test]
fn a_part_of_a_text_ends_between_characters_and_a_bad_byte_ends_it_at_once() {
    let good = frame(false, Text, "a\u{1f4a9}");
    let bad = frame(false, Continuation, b"b\xff");
    let cut = good.len() - 2;
    let outcomes = receive_by(in_parts(), [&good[..cut], &good[cut..], &bad]);
    let expected = [
        part(MessageKind::Text, "a", [true, false]),
        part(MessageKind::Text, "\u{1f4a9}", [false, false]),
        Outcome::Error(ProtocolError::TextNotUtf8),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn the_limit_is_for_the_whole_message() {
    let limits = Limits {
        max_message_size: 10,
        ..LIMITS
    };
    let receiver = || Receiver::new(limits).in_parts();
    let (first, second) = (
        frame(false, Binary, "12345"),
        frame(true, Continuation, "67890"),
    );
    let too_long = header(true, Continuation, 6);
    let outcomes = joined(receive_by(receiver(), [&first[..], &second]));
    assert_eq!(outcomes, [Outcome::Binary(b"1234567890".into())]);
    let outcomes = receive_by(receiver(), [&first[..], &too_long]);
    assert_eq!(outcomes[1], Outcome::Error(ProtocolError::TooBig(10)));
}

/// Checks that the receiver holds little memory while it hands out this message, and that the parts
/// are not too long.
fn check_memory(mut receiver: Receiver, bytes: &[u8], expected: usize) {
    let (mut outcomes, mut total) = (Vec::new(), 0);
    for read in bytes.chunks(100_000) {
        feed(&mut receiver, read, &mut outcomes);
        assert!(receiver.held() <= 5 * PART, "{} bytes", receiver.held());
        for outcome in outcomes.drain(..) {
            let Outcome::Part(_, bytes, _) = outcome else {
                panic!("{outcome:?}");
            };
            assert!(bytes.len() <= PART);
            total += bytes.len();
        }
    }
    assert_eq!(total, expected);
}

#[test]
fn a_long_message_takes_no_more_memory_than_a_short_one() {
    let payload = vec![b'x'; 8 * MIB];
    check_memory(in_parts(), &frame(true, Text, &payload), 8 * MIB);
    for limit in [LIMITS.max_message_size, u64::MAX] {
        let limits = Limits {
            max_message_size: limit,
            ..LIMITS
        };
        for receiver in each_context(limits) {
            let bytes = compressed(true, Text, deflated(&payload));
            check_memory(receiver.in_parts(), &bytes, 8 * MIB);
        }
    }
}

#[test]
fn a_long_frame_is_read_directly_into_parts() {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(MIB + 7).collect();
    let bytes = frame(true, Binary, &payload);
    for size in [999, 65_536, usize::MAX] {
        let outcomes = joined(receive_into_spare_of(in_parts(), &bytes, size));
        assert!(outcomes == [Outcome::Binary(payload.clone())], "{size}");
    }
}

#[test]
fn a_receiver_says_that_it_has_more_to_hand_out() {
    let payload = vec![b'x'; 3 * PART];
    for mut receiver in each_context(LIMITS).map(Receiver::in_parts) {
        let mut bytes = compressed(true, Binary, deflated(&payload));
        let len = bytes.len();
        bytes.push(0);
        let mut input = Input::new(&mut bytes, len);
        let mut lengths = Vec::new();
        loop {
            match receiver.receive(&mut input) {
                Ok(Some(Event::Part { payload, .. })) => lengths.push(payload.len()),
                Ok(None) => break,
                other => panic!("{other:?}"),
            }
            assert_eq!(receiver.is_pending(), lengths.len() <= 3, "{lengths:?}");
            receiver.release();
        }
        assert_eq!(lengths.iter().sum::<usize>(), 3 * PART);
        assert!(!receiver.is_pending());
    }
}

/// Counts the messages that a session gets that stops whenever the receiver has nothing more to
/// hand out.
fn count_messages(mut receiver: Receiver, mut bytes: Vec<u8>) -> usize {
    let len = bytes.len();
    bytes.push(0);
    let mut input = Input::new(&mut bytes, len);
    let mut count = 0;
    while !input.is_empty() || receiver.is_pending() {
        match receiver.receive(&mut input) {
            Ok(Some(Event::Message { .. } | Event::Part { is_last: true, .. })) => count += 1,
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
        receiver.release();
    }
    count
}

#[test]
fn a_message_that_fills_its_last_part_needs_no_more_input_to_end() {
    let payload = vec![b'x'; 2 * PART];
    for cuts in [
        &[PART][..],
        &[PART / 2, PART / 2],
        &[1, PART - 1],
        &[PART, PART],
    ] {
        let mut bytes = Vec::new();
        for (number, &length) in cuts.iter().enumerate() {
            let opcode = if number == 0 { Binary } else { Continuation };
            let is_last = number + 1 == cuts.len();
            bytes.extend(frame(is_last, opcode, &payload[..length]));
        }
        assert_eq!(count_messages(in_parts(), bytes), 1, "{cuts:?}");
    }
    for length in [PART - 1, PART, PART + 1, 2 * PART] {
        for receiver in each_context(LIMITS) {
            let bytes = compressed(true, Binary, deflated(&payload[..length]));
            assert_eq!(count_messages(receiver.in_parts(), bytes), 1, "{length}");
        }
    }
}
