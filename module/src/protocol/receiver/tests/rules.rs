//! One line for each rule about frames and messages (RFC 6455, sections 5.1 to 5.5).

use super::{LIMITS, Outcome, check, frame, header, text};
use crate::protocol::{FrameHeader, Input, Limits, Opcode, ProtocolError, Receiver};
use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};

#[test]
fn the_examples_of_the_rfc_are_understood() {
    let hello = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    check("masked text", LIMITS, &hello, &[text("Hello")]);
    let pong = [
        0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    check(
        "masked pong",
        LIMITS,
        &pong,
        &[Outcome::Pong(b"Hello".to_vec())],
    );
    let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    check(
        "unmasked text",
        LIMITS,
        &unmasked,
        &[Outcome::Error(ProtocolError::Unmasked)],
    );
}

#[test]
fn messages_and_control_frames_come_out_in_order() {
    let long = vec![0xa5; 300];
    let ping = || Outcome::Ping(b"p".to_vec());
    let cases = [
        ("empty text", vec![frame(true, Text, "")], vec![text("")]),
        (
            "empty binary",
            vec![frame(true, Binary, "")],
            vec![Outcome::Binary(vec![])],
        ),
        (
            "16-bit length",
            vec![frame(true, Binary, &long)],
            vec![Outcome::Binary(long.clone())],
        ),
        (
            "empty ping",
            vec![frame(true, Ping, "")],
            vec![Outcome::Ping(vec![])],
        ),
        (
            "longest ping",
            vec![frame(true, Ping, [7; 125])],
            vec![Outcome::Ping(vec![7; 125])],
        ),
        (
            "unsolicited pong",
            vec![frame(true, Pong, "x")],
            vec![Outcome::Pong(b"x".to_vec())],
        ),
        (
            "two messages",
            vec![frame(true, Text, "one"), frame(true, Binary, "two")],
            vec![text("one"), Outcome::Binary(b"two".to_vec())],
        ),
        (
            "fragments with a ping between them",
            vec![
                frame(false, Text, "on"),
                frame(true, Ping, "p"),
                frame(true, Continuation, "e"),
            ],
            vec![ping(), text("one")],
        ),
        (
            "empty fragments",
            vec![
                frame(false, Binary, ""),
                frame(false, Continuation, ""),
                frame(false, Continuation, "b"),
                frame(true, Continuation, ""),
            ],
            vec![Outcome::Binary(b"b".to_vec())],
        ),
        (
            "only empty fragments",
            vec![frame(false, Text, ""), frame(true, Continuation, "")],
            vec![text("")],
        ),
        (
            "a shorter message after a fragmented one",
            vec![
                frame(false, Text, "long"),
                frame(true, Continuation, "er"),
                frame(false, Text, "s"),
                frame(true, Continuation, "h"),
            ],
            vec![text("longer"), text("sh")],
        ),
        (
            "close between fragments",
            vec![
                frame(false, Text, "on"),
                frame(true, Close, ""),
                frame(true, Continuation, "e"),
            ],
            vec![Outcome::Close(None)],
        ),
    ];
    for (name, frames, expected) in cases {
        check(name, LIMITS, &frames.concat(), &expected);
    }
}

#[test]
fn every_violation_is_an_error_that_ends_the_input() {
    let broken_start = |first| [[first].as_slice(), &frame(true, Text, "x")[1..]].concat();
    let mask_and_length = |opcode: u8, length: &[u8]| [&[0x80 | opcode], length, &[0; 8]].concat();
    let cases = [
        ("RSV1", broken_start(0xc1), ProtocolError::ReservedBits),
        ("RSV2", broken_start(0xa1), ProtocolError::ReservedBits),
        ("RSV3", broken_start(0x91), ProtocolError::ReservedBits),
        (
            "RSV1 on a ping",
            broken_start(0xc9),
            ProtocolError::ReservedBits,
        ),
        (
            "unknown data opcode",
            broken_start(0x83),
            ProtocolError::UnknownOpcode(3),
        ),
        (
            "last data opcode",
            broken_start(0x87),
            ProtocolError::UnknownOpcode(7),
        ),
        (
            "unknown control opcode",
            broken_start(0x8b),
            ProtocolError::UnknownOpcode(11),
        ),
        (
            "last control opcode",
            broken_start(0x8f),
            ProtocolError::UnknownOpcode(15),
        ),
        (
            "fragmented ping",
            frame(false, Ping, "x"),
            ProtocolError::FragmentedControl,
        ),
        (
            "fragmented pong",
            frame(false, Pong, ""),
            ProtocolError::FragmentedControl,
        ),
        (
            "fragmented close",
            frame(false, Close, ""),
            ProtocolError::FragmentedControl,
        ),
        (
            "ping of 126 bytes",
            frame(true, Ping, [0; 126]),
            ProtocolError::ControlTooLong,
        ),
        (
            "ping of 64 KiB",
            header(true, Ping, 65536),
            ProtocolError::ControlTooLong,
        ),
        (
            "125 in 16 bits",
            mask_and_length(2, &[0xfe, 0, 125]),
            ProtocolError::LengthNotMinimal,
        ),
        (
            "65535 in 64 bits",
            mask_and_length(2, &[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            ProtocolError::LengthNotMinimal,
        ),
        (
            "2^63",
            header(true, Binary, 1 << 63),
            ProtocolError::LengthTooLarge,
        ),
        (
            "all ones",
            header(true, Binary, u64::MAX),
            ProtocolError::LengthTooLarge,
        ),
        (
            "no beginning",
            frame(true, Continuation, "x"),
            ProtocolError::UnexpectedContinuation,
        ),
        (
            "text inside a message",
            [frame(false, Text, "a"), frame(true, Text, "b")].concat(),
            ProtocolError::InterruptedMessage,
        ),
        (
            "binary inside a message",
            [frame(false, Binary, "a"), frame(false, Binary, "b")].concat(),
            ProtocolError::InterruptedMessage,
        ),
    ];
    for (name, broken, error) in cases {
        let expected = [Outcome::Error(error)];
        check(name, LIMITS, &broken, &expected);
        // Valid frames after it are ignored.
        check(
            name,
            LIMITS,
            &[broken, frame(true, Text, "late")].concat(),
            &expected,
        );
    }
}

#[test]
fn a_message_that_has_ended_cannot_be_continued() {
    let rest = frame(true, Continuation, "b");
    let error = Outcome::Error(ProtocolError::UnexpectedContinuation);
    let fragmented = [frame(false, Text, "a"), rest.clone(), rest.clone()].concat();
    check(
        "fragmented",
        LIMITS,
        &fragmented,
        &[text("ab"), error.clone()],
    );
    let whole = [frame(true, Text, "a"), rest].concat();
    check("whole", LIMITS, &whole, &[text("a"), error]);
}

#[test]
fn unmasked_frames_of_all_types_are_refused() {
    for opcode in [Text, Binary, Close, Ping, Pong] {
        let bytes = FrameHeader::unmasked(opcode, 0).encode().to_vec();
        check(
            "unmasked",
            LIMITS,
            &bytes,
            &[Outcome::Error(ProtocolError::Unmasked)],
        );
    }
}

#[test]
fn the_limit_applies_to_announced_fragments_and_control_payloads() {
    let limits = Limits {
        max_message_size: 10,
        ..LIMITS
    };
    let too_big = || vec![Outcome::Error(ProtocolError::TooBig(10))];
    let cases = [
        (
            "text at the limit",
            frame(true, Text, "0123456789"),
            vec![text("0123456789")],
        ),
        ("text announced above", header(true, Text, 11), too_big()),
        ("far above", header(true, Binary, (1 << 63) - 1), too_big()),
        (
            "fragments at the limit",
            [
                frame(false, Text, "012345"),
                frame(true, Continuation, "6789"),
            ]
            .concat(),
            vec![text("0123456789")],
        ),
        (
            "fragments above",
            [frame(false, Text, "012345"), header(true, Continuation, 5)].concat(),
            too_big(),
        ),
        (
            "fragment that would overflow the sum",
            [
                frame(false, Text, "012345"),
                header(true, Continuation, (1 << 63) - 1),
            ]
            .concat(),
            too_big(),
        ),
        (
            "the next message begins anew",
            [
                frame(true, Text, "0123456789"),
                frame(true, Text, "0123456789"),
            ]
            .concat(),
            vec![text("0123456789"), text("0123456789")],
        ),
        ("ping above", header(true, Ping, 11), too_big()),
        ("pong above", header(true, Pong, 11), too_big()),
        ("close above", header(true, Close, 11), too_big()),
        (
            "a ping does not count as part of the message",
            [
                frame(false, Text, "0123456789"),
                frame(true, Ping, "0123456789"),
                frame(true, Continuation, ""),
            ]
            .concat(),
            vec![Outcome::Ping(b"0123456789".to_vec()), text("0123456789")],
        ),
    ];
    for (name, bytes, expected) in cases {
        check(name, limits, &bytes, &expected);
    }
}

#[test]
fn a_message_has_a_limited_number_of_fragments_those_without_payload_included() {
    let limits = Limits {
        max_fragments: 3,
        ..LIMITS
    };
    let more = || frame(false, Continuation, "");
    let last = || frame(true, Continuation, "c");
    let at_limit = [frame(false, Text, "a"), more(), last()].concat();
    // The first byte of the frame makes it certain.
    let above = [frame(false, Text, "a"), more(), more(), vec![0x80]].concat();
    let too_many = Outcome::Error(ProtocolError::TooManyFragments(3));
    check(
        "at the limit, twice",
        limits,
        &at_limit.repeat(2),
        &[text("ac"), text("ac")],
    );
    check("above", limits, &above, &[too_many]);
}

/// Whether something is unfinished after these bytes, and more of it than before them.
fn progress(receiver: &mut Receiver, bytes: &[u8]) -> Option<bool> {
    let before = receiver.unfinished();
    let mut buffer = [bytes, &[0]].concat();
    let mut input = Input::new(&mut buffer, bytes.len());
    while receiver.receive(&mut input).unwrap().is_some() {}
    receiver.unfinished().map(|after| Some(after) != before)
}

#[test]
fn what_is_unfinished_is_told_and_whether_more_of_it_arrives() {
    let mut receiver = Receiver::new(LIMITS);
    let ping = frame(true, Ping, "ping");
    let large = frame(true, Binary, vec![b'x'; 100_000]);
    for (name, bytes, expected) in [
        ("a whole message", &frame(true, Text, "ab")[..], None),
        ("half a header", &ping[..1], Some(true)),
        ("nothing", b"", Some(false)),
        ("half a ping", &ping[1..8], Some(true)),
        ("the rest", &ping[8..], None),
        ("a fragment", &frame(false, Text, "ab"), Some(true)),
        ("a whole ping", &ping, Some(false)),
        ("half a ping inside", &ping[..8], Some(false)),
        ("the rest of it", &ping[8..], Some(false)),
        (
            "an empty fragment",
            &frame(false, Continuation, ""),
            Some(false),
        ),
        (
            "another fragment",
            &frame(false, Continuation, "c"),
            Some(true),
        ),
        ("the last fragment", &frame(true, Continuation, ""), None),
        ("a part of a long frame", &large[..50], Some(true)),
    ] {
        assert_eq!(progress(&mut receiver, bytes), expected, "{name}");
    }
    // Read directly into the message.
    let before = receiver.unfinished();
    receiver.spare().unwrap()[0] = 0;
    receiver.filled(1).unwrap();
    assert!(receiver.unfinished() != before);
    receiver.give_up();
    assert_eq!(receiver.unfinished(), None);
}
