//! Arbitrary frames in arbitrary pieces: the events depend only on the bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::parts::joined;
use super::{
    LIMITS, Outcome, Receiver, frame, receive, receive_by, receive_into_spare,
    receive_into_spare_of,
};
use crate::protocol::{Limits, Opcode};

/// A message in fragments, some of them followed by a control frame, and the expected outcomes.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<Outcome>)> {
    let control = proptest::option::of((any::<bool>(), vec(any::<u8>(), 0..=125)));
    let size = prop_oneof![0..200usize, 0..40_000usize];
    // A pattern is as good as random bytes, and much faster to generate and to shrink.
    let fragment = (size, any::<u8>()).prop_map(|(size, first)| {
        (0..=u8::MAX)
            .cycle()
            .skip(first.into())
            .take(size)
            .collect::<Vec<_>>()
    });
    vec((fragment, control), 1..5).prop_map(|fragments| {
        let (mut bytes, mut outcomes, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        let last = fragments.len() - 1;
        for (i, (fragment, control)) in fragments.into_iter().enumerate() {
            let opcode = if i == 0 {
                Opcode::Binary
            } else {
                Opcode::Continuation
            };
            if let Some((is_ping, payload)) = control {
                let opcode = if is_ping { Opcode::Ping } else { Opcode::Pong };
                // Before the fragment, so that none follows the end of the message.
                bytes.extend(frame(true, opcode, &payload));
                outcomes.push(if is_ping {
                    Outcome::Ping(payload)
                } else {
                    Outcome::Pong(payload)
                });
            }
            bytes.extend(frame(i == last, opcode, &fragment));
            whole.extend(fragment);
        }
        outcomes.push(Outcome::Binary(whole));
        (bytes, outcomes)
    })
}

fn pieces<'b>(mut bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    #[test]
    fn messages_survive_any_chunking(
        messages in vec(message(), 0..4),
        sizes in vec(prop_oneof![1..20usize, 1..30_000usize], 1..10),
    ) {
        let (bytes, outcomes): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let (bytes, outcomes) = (bytes.concat(), outcomes.concat());
        prop_assert_eq!(&receive(LIMITS, pieces(&bytes, &sizes)), &outcomes);
        prop_assert_eq!(&receive_into_spare(LIMITS, &bytes, sizes[0]), &outcomes);
        let in_parts = || Receiver::new(LIMITS).in_parts();
        prop_assert_eq!(&joined(receive_by(in_parts(), pieces(&bytes, &sizes))), &outcomes);
        prop_assert_eq!(&joined(receive_into_spare_of(in_parts(), &bytes, sizes[0])), &outcomes);
    }

    #[test]
    fn noise_has_the_same_outcome_in_any_chunking(
        frames in vec((any::<bool>(), 0..16u8, vec(any::<u8>(), 0..140)), 0..20),
        noise in vec(any::<u8>(), 0..40),
        sizes in vec(1..50usize, 1..10),
        max_message_size in 0..300u64,
    ) {
        let limits = Limits {
            max_message_size,
            max_fragments: 16_384,
            allow_reserved_status_codes: true,
        };
        let mut bytes = Vec::new();
        for (fin, opcode, payload) in frames {
            bytes.extend(frame(fin, Opcode::try_from(opcode).unwrap_or(Opcode::Text), payload));
        }
        bytes.extend(noise);
        let whole = receive(limits, [bytes.as_slice()]);
        prop_assert_eq!(&receive(limits, pieces(&bytes, &sizes)), &whole);
        prop_assert_eq!(&receive(limits, bytes.chunks(1)), &whole);
        prop_assert_eq!(&receive_into_spare(limits, &bytes, sizes[0]), &whole);
        let in_parts = || Receiver::new(limits).in_parts();
        prop_assert_eq!(&joined(receive_by(in_parts(), pieces(&bytes, &sizes))), &whole);
        prop_assert_eq!(&joined(receive_into_spare_of(in_parts(), &bytes, sizes[0])), &whole);
        let errors = whole.iter().filter(|outcome| matches!(outcome, Outcome::Error(_))).count();
        prop_assert!(errors <= 1);
    }
}
