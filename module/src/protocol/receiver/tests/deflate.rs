//! Compressed messages (RFC 7692). The tests compress with zlib-rs directly, not with our
//! `Deflater`.

use std::iter;

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    KEY, LIMITS, Outcome, Receiver, check, check_by, feed, frame, receive_by,
    receive_into_spare_of, text,
};
use crate::protocol::{
    DeflateContext, DeflateLevel, DeflateParameters, Deflater, FrameHeader, Limits, Opcode,
    ProtocolError, Rsv,
};
use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};

/// The client keeps its context between messages.
const TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: None,
    client_max_window_bits: None,
    context: DeflateContext::Connection,
};

/// The client keeps its context between messages, and the server keeps only the end of it.
const WINDOW: DeflateParameters = DeflateParameters {
    context: DeflateContext::Shared,
    ..TAKEOVER
};

const NO_TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    ..WINDOW
};

fn parameters(keeps_context: bool, keeps_stream: bool) -> DeflateParameters {
    match (keeps_context, keeps_stream) {
        (false, _) => NO_TAKEOVER,
        (true, false) => WINDOW,
        (true, true) => TAKEOVER,
    }
}

/// "Hello" of RFC 7692, section 7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn frame_with(rsv: Rsv, fin: bool, opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut payload = payload.as_ref().to_vec();
    KEY.apply(&mut payload, 0);
    let header = FrameHeader {
        fin,
        rsv,
        opcode,
        mask: Some(KEY),
        payload_len: payload.len() as u64,
    };
    [&header.encode(), payload.as_slice()].concat()
}

/// Receivers with and without context takeover.
pub(super) fn each_context(limits: Limits) -> [Receiver; 3] {
    [TAKEOVER, WINDOW, NO_TAKEOVER]
        .map(|parameters| Receiver::with_deflate(limits, Some(parameters)))
}

/// The first or only frame of a compressed message.
pub(super) fn compressed(fin: bool, opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame_with(Rsv::RSV1, fin, opcode, payload)
}

/// A flushed deflate stream without its tail.
fn deflate(stream: &mut Compress, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * message.len() + 64);
    stream
        .compress_vec(message, &mut bytes, FlushCompress::Sync)
        .unwrap();
    // A stream that has just been flushed outputs nothing for an empty message.
    bytes.truncate(bytes.len().saturating_sub(4));
    bytes
}

fn compressor() -> Compress {
    Compress::new(Compression::default(), false)
}

pub(super) fn deflated(message: impl AsRef<[u8]>) -> Vec<u8> {
    deflate(&mut compressor(), message.as_ref())
}

fn check_all(name: &str, bytes: &[u8], expected: &[Outcome]) {
    check_limited(name, LIMITS, bytes, expected);
}

fn check_limited(name: &str, limits: Limits, bytes: &[u8], expected: &[Outcome]) {
    for parameters in [TAKEOVER, WINDOW, NO_TAKEOVER] {
        let receiver = || Receiver::with_deflate(limits, Some(parameters));
        check_by(
            &format!("{name}, {parameters:?}"),
            &receiver,
            bytes,
            expected,
        );
    }
}

fn error(error: ProtocolError) -> Outcome {
    Outcome::Error(error)
}

#[test]
fn the_examples_of_the_rfc_are_inflated() {
    let stored = b"\x00\x05\x00\xfa\xffHello\x00";
    let last_block = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two_blocks = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    for (name, payload) in [
        ("one block", &HELLO[..]),
        ("no compression", stored),
        ("a last block", &last_block),
        ("two blocks", &two_blocks),
    ] {
        check_all(name, &compressed(true, Text, payload), &[text("Hello")]);
    }
    let fragments = [
        compressed(false, Text, &HELLO[..3]),
        frame(true, Continuation, &HELLO[3..]),
    ];
    check_all("fragments", &fragments.concat(), &[text("Hello")]);
}

#[test]
fn a_message_may_refer_to_the_previous_one_if_that_was_negotiated() {
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let bytes = [compressed(true, Text, HELLO), compressed(true, Text, again)].concat();
    for parameters in [TAKEOVER, WINDOW] {
        let takeover = || Receiver::with_deflate(LIMITS, Some(parameters));
        check_by(
            "takeover",
            &takeover,
            &bytes,
            &[text("Hello"), text("Hello")],
        );
    }
    let no_takeover = || Receiver::with_deflate(LIMITS, Some(NO_TAKEOVER));
    let expected = [text("Hello"), error(ProtocolError::NotDeflate)];
    check_by("no takeover", &no_takeover, &bytes, &expected);
}

#[test]
fn compressed_and_plain_messages_and_control_frames_may_mix() {
    let bytes = [
        compressed(false, Text, &HELLO[..1]),
        frame(true, Ping, "p"),
        frame(false, Continuation, ""),
        frame(true, Pong, "q"),
        frame(true, Continuation, &HELLO[1..]),
        frame(true, Text, "plain"),
        frame(false, Binary, "pl"),
        frame(true, Continuation, "ain"),
        compressed(true, Binary, HELLO),
        frame(true, Close, ""),
    ]
    .concat();
    let expected = [
        Outcome::Ping(b"p".to_vec()),
        Outcome::Pong(b"q".to_vec()),
        text("Hello"),
        text("plain"),
        Outcome::Binary(b"plain".to_vec()),
        Outcome::Binary(b"Hello".to_vec()),
        Outcome::Close(None),
    ];
    check_all("mixed", &bytes, &expected);
}

#[test]
fn an_empty_message_may_be_compressed_in_several_ways() {
    for (name, payload) in [
        ("an empty block", &b"\x00"[..]),
        ("a fixed block", b"\x02\x00"),
        ("a last block", b"\x03\x00\x00"),
        ("a last block and nothing else", b"\x03\x00"),
        ("nothing", b""),
    ] {
        let bytes = [
            compressed(true, Text, payload),
            compressed(true, Text, HELLO),
        ]
        .concat();
        check_all(name, &bytes, &[text(""), text("Hello")]);
    }
}

#[test]
fn several_streams_in_a_message_share_their_window() {
    let first = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let refers_to_it = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let bytes = compressed(true, Text, [&first[..], &refers_to_it].concat());
    check_all("two streams", &bytes, &[text("HelloHello")]);
}

#[test]
fn rsv1_is_valid_only_in_the_first_frame_of_a_message() {
    let bad = |bytes: &[u8]| check_all("RSV1", bytes, &[error(ProtocolError::ReservedBits)]);
    for opcode in [Close, Ping, Pong] {
        bad(&compressed(true, opcode, ""));
    }
    bad(&[
        compressed(false, Text, &HELLO[..3]),
        compressed(true, Continuation, &HELLO[3..]),
    ]
    .concat());
    bad(&[
        frame(false, Text, "plain"),
        compressed(true, Continuation, HELLO),
    ]
    .concat());
    bad(&compressed(true, Continuation, HELLO));
}

#[test]
fn other_bits_stay_reserved() {
    for first_byte in [0xa1, 0x91, 0xe1, 0xd1, 0xb1, 0xf1] {
        let mut bytes = compressed(true, Text, HELLO);
        bytes[0] = first_byte;
        check_all("RSV", &bytes, &[error(ProtocolError::ReservedBits)]);
    }
    let bytes = compressed(true, Text, HELLO);
    let expected = [error(ProtocolError::ReservedBits)];
    check("not negotiated", LIMITS, &bytes, &expected);
}

#[test]
fn data_that_cannot_be_inflated_is_an_error() {
    let incomplete = deflated("a text that compresses to more than a few bytes");
    let cut = |at: usize| incomplete[..incomplete.len() - at].to_vec();
    for (name, payload) in [
        ("reserved block type", vec![0x06]),
        (
            "bad length of a stored block",
            vec![0x00, 0x05, 0x00, 0x00, 0x00],
        ),
        ("nothing to refer to", vec![0xf2, 0x00, 0x11, 0x00, 0x00]),
        (
            "the tail left in and more",
            b"\x00\x00\x00\xff\xff\x06".to_vec(),
        ),
        (
            "a stored block cut short",
            b"\x00\x05\x00\xfa\xffHel".to_vec(),
        ),
        ("one byte cut off", cut(1)),
        ("two bytes cut off", cut(2)),
        ("nine bytes cut off", cut(9)),
    ] {
        let bytes = compressed(true, Binary, payload);
        let receiver = || Receiver::with_deflate(LIMITS, Some(NO_TAKEOVER));
        check_by(name, &receiver, &bytes, &[error(ProtocolError::NotDeflate)]);
    }
}

#[test]
fn texts_are_checked_once_they_are_inflated() {
    let not_utf8 = compressed(true, Text, deflated(b"abc\xff"));
    check_all("bad byte", &not_utf8, &[error(ProtocolError::TextNotUtf8)]);
    let cut_off = compressed(true, Text, deflated(b"abc\xe2\x82"));
    check_all("cut off", &cut_off, &[error(ProtocolError::TextNotUtf8)]);
    let binary = compressed(true, Binary, deflated(b"abc\xff"));
    check_all("binary", &binary, &[Outcome::Binary(b"abc\xff".to_vec())]);
    let torn = "\u{20ac}".repeat(50);
    let stored = |piece: &[u8]| {
        let len = u16::try_from(piece.len()).unwrap();
        [&[0], &len.to_le_bytes()[..], &(!len).to_le_bytes(), piece].concat()
    };
    let blocks: Vec<_> = torn.as_bytes().chunks(10).flat_map(stored).collect();
    let whole = compressed(true, Text, [blocks, vec![0]].concat());
    check_all("characters in two blocks", &whole, &[text(&torn)]);
}

#[test]
fn bad_utf8_is_an_error_before_the_message_ends() {
    for parameters in [TAKEOVER, WINDOW, NO_TAKEOVER] {
        let mut receiver = Receiver::with_deflate(LIMITS, Some(parameters));
        let mut outcomes = Vec::new();
        let bytes = compressed(false, Text, deflated(b"abc\xff"));
        feed(&mut receiver, &bytes, &mut outcomes);
        assert_eq!(outcomes, [error(ProtocolError::TextNotUtf8)]);
    }
}

#[test]
fn the_limit_applies_to_the_inflated_message() {
    let limits = Limits {
        max_message_size: 1000,
        ..LIMITS
    };
    let too_big = [error(ProtocolError::TooBig(1000))];
    for len in [0, 1, 999, 1000] {
        let bytes = compressed(true, Text, deflated(vec![b'x'; len]));
        check_limited("fits", limits, &bytes, &[text(&"x".repeat(len))]);
    }
    for len in [1001, 1002, 5000, 100_000] {
        let bytes = compressed(true, Text, deflated(vec![b'x'; len]));
        check_limited("too long", limits, &bytes, &too_big);
    }
    let half = deflated(vec![b'x'; 600]);
    let fragments = [
        compressed(
            false,
            Binary,
            [half.clone(), b"\x00\x00\xff\xff".to_vec()].concat(),
        ),
        frame(true, Continuation, half),
    ];
    check_limited("fragments", limits, &fragments.concat(), &too_big);
    let bad_text = compressed(true, Text, deflated([&[0xff], &[b'x'; 1000][..]].concat()));
    let expected = [error(ProtocolError::TextNotUtf8)];
    check_limited("bad before too long", limits, &bad_text, &expected);
}

#[test]
fn a_compressed_message_may_be_longer_than_the_limit() {
    let limits = Limits {
        max_message_size: 4,
        ..LIMITS
    };
    let stored = compressed(true, Binary, b"\x00\x04\x00\xfb\xff\x01\x02\x03\x04\x00");
    let expected = [Outcome::Binary(vec![1, 2, 3, 4])];
    check_limited("stored", limits, &stored, &expected);
}

#[test]
fn no_more_is_inflated_than_the_limit() {
    const GIB: usize = 1 << 30;
    let mut stream = compressor();
    let piece = vec![0; GIB / 64];
    let mut bomb = Vec::with_capacity(2 << 20);
    for _ in 0..64 {
        stream
            .compress_vec(&piece, &mut bomb, FlushCompress::None)
            .unwrap();
    }
    let limit = 1 << 20;
    let mut message = super::super::Assembly::default();
    for parameters in [TAKEOVER, WINDOW, NO_TAKEOVER] {
        message.begin(crate::protocol::MessageKind::Binary);
        let mut inflater = super::super::Inflater::new(&parameters);
        inflater.begin();
        let result = inflater.inflate(&bomb, &mut message, limit);
        assert_eq!(result, Err(ProtocolError::TooBig(limit)));
        assert!(message.capacity() as u64 <= limit * 5 / 4 + 2);
    }
}

/// Compressed zeros; a byte expands to about a thousand of them.
fn bomb(len: usize) -> Vec<u8> {
    deflated(vec![0; len])
}

#[test]
fn before_its_end_has_arrived_a_message_is_inflated_only_a_little_ahead() {
    const LEN: usize = 16 << 20;
    for parameters in [TAKEOVER, WINDOW, NO_TAKEOVER] {
        let payload = bomb(LEN);
        let mut receiver = Receiver::with_deflate(LIMITS, Some(parameters));
        let mut outcomes = Vec::new();
        for (i, piece) in payload.chunks(1000).enumerate() {
            let opcode = if i == 0 { Binary } else { Continuation };
            let rsv = if i == 0 { Rsv::RSV1 } else { Rsv::NONE };
            let bytes = frame_with(rsv, false, opcode, piece);
            feed(&mut receiver, &bytes, &mut outcomes);
            let (capacity, arrived) = (receiver.message.capacity(), (i + 1) * 1000);
            assert!(
                capacity <= 140 * 1024 + 8 * arrived,
                "{capacity} for {arrived}"
            );
        }
        assert_eq!(outcomes, []);
        feed(&mut receiver, &frame(true, Continuation, ""), &mut outcomes);
        assert!(outcomes == [Outcome::Binary(vec![0; LEN])]);
    }
}

#[test]
fn data_that_was_not_inflated_ahead_is_checked_at_the_end() {
    let fragments = |payload: &[u8], opcode| {
        [
            compressed(false, opcode, payload),
            frame(true, Ping, "p"),
            frame(true, Continuation, ""),
        ]
        .concat()
    };
    let ping = || Outcome::Ping(b"p".to_vec());
    let long = 200_000;
    let whole = fragments(&bomb(long), Binary);
    check_all("good", &whole, &[ping(), Outcome::Binary(vec![0; long])]);
    let broken = fragments(
        &[bomb(long), b"\x00\x00\xff\xff\x06".to_vec()].concat(),
        Binary,
    );
    let expected = [ping(), error(ProtocolError::NotDeflate)];
    check_all("not deflate", &broken, &expected);
    let mut cut_off = bomb(long);
    cut_off.pop();
    check_all("cut off", &fragments(&cut_off, Binary), &expected);
    let mut message = vec![b'x'; long];
    message.push(0xff);
    let not_utf8 = fragments(&deflated(message), Text);
    let expected = [ping(), error(ProtocolError::TextNotUtf8)];
    check_all("not UTF-8", &not_utf8, &expected);
    let limits = Limits {
        max_message_size: long as u64 - 1,
        ..LIMITS
    };
    let expected = [ping(), error(ProtocolError::TooBig(long as u64 - 1))];
    check_limited("too long", limits, &whole, &expected);
    // An error close to the beginning is found at once.
    let early = fragments(&deflated([&[0xff], &vec![b'x'; long][..]].concat()), Text);
    check_all("early", &early, &[error(ProtocolError::TextNotUtf8)]);
}

#[test]
fn the_kept_context_is_no_longer_than_the_data_sent() {
    let small = DeflateParameters {
        client_max_window_bits: Some(10),
        ..WINDOW
    };
    for (parameters, most) in [(WINDOW, 32 * 1024), (small, 1024), (NO_TAKEOVER, 0)] {
        let mut receiver = Receiver::with_deflate(LIMITS, Some(parameters));
        let mut stream = Compress::new_with_window_bits(
            Compression::default(),
            false,
            parameters.client_window_bits(),
        );
        let mut sent = 0;
        for round in 0..200_u8 {
            if parameters.client_no_context_takeover {
                stream.reset();
            }
            let message: Vec<u8> = (0..=round).cycle().take(400).collect();
            sent += message.len();
            let bytes = compressed(true, Binary, deflate(&mut stream, &message));
            let mut outcomes = Vec::new();
            feed(&mut receiver, &bytes, &mut outcomes);
            receiver.release();
            assert_eq!(outcomes, [Outcome::Binary(message)]);
            let inflater = receiver.inflater.as_ref().unwrap();
            assert!(!inflater.has_stream());
            let kept = inflater.window_capacity();
            assert!(kept <= (sent * 5 / 4).min(most), "{kept} of {sent}");
        }
    }
}

#[test]
fn after_a_stream_that_ends_inside_a_message_the_next_may_refer_to_all_earlier_data() {
    // The window of the first message, a last block, and a reference past both.
    let mut first = compressor();
    let before = deflate(&mut first, b"a message before");
    let mut last = Compress::new(Compression::default(), false);
    let mut block = Vec::with_capacity(100);
    last.compress_vec(b"inside", &mut block, FlushCompress::Finish)
        .unwrap();
    let mut second = compressor();
    second.set_dictionary(b"a message beforeinside").unwrap();
    let rest = deflate(&mut second, b"a message beforeinside");
    let bytes = [
        compressed(true, Text, before),
        compressed(true, Text, [block, rest].concat()),
    ];
    let receiver = || Receiver::with_deflate(LIMITS, Some(WINDOW));
    let expected = [
        text("a message before"),
        text("insidea message beforeinside"),
    ];
    check_by("window", &receiver, &bytes.concat(), &expected);
}

#[test]
fn memory_follows_what_was_inflated() {
    let mut receiver = Receiver::with_deflate(LIMITS, Some(NO_TAKEOVER));
    let noise: Vec<u8> = iter::successors(Some(1_u32), |x| Some(x.wrapping_mul(1_664_525) + 1))
        .map(|x| x.to_be_bytes()[0])
        .take(1 << 20)
        .collect();
    let bytes = compressed(true, Binary, deflated(noise));
    for (i, piece) in bytes.chunks(1000).enumerate() {
        feed(&mut receiver, piece, &mut Vec::new());
        let (capacity, arrived) = (receiver.message.capacity(), (i + 1) * 1000);
        assert!(capacity <= 5 * arrived, "{capacity} for {arrived}");
        assert_eq!(receiver.spare(), None);
    }
}

#[test]
fn an_idle_connection_without_context_has_no_inflater() {
    let mut receiver = Receiver::with_deflate(LIMITS, Some(NO_TAKEOVER));
    let mut outcomes = Vec::new();
    feed(&mut receiver, &compressed(true, Text, HELLO), &mut outcomes);
    receiver.release();
    assert_eq!(receiver.message.capacity(), 0);
    assert!(!receiver.inflater.as_ref().unwrap().has_stream());
    // While a message is in progress there is one, and it stays.
    feed(
        &mut receiver,
        &compressed(false, Text, &HELLO[..4]),
        &mut outcomes,
    );
    receiver.release();
    assert!(receiver.inflater.as_ref().unwrap().has_stream());
    feed(
        &mut receiver,
        &frame(true, Continuation, &HELLO[4..]),
        &mut outcomes,
    );
    assert_eq!(outcomes, [text("Hello"), text("Hello")]);
    assert!(!receiver.inflater.as_ref().unwrap().has_stream());
}

#[test]
fn the_end_of_the_input_frees_the_inflater() {
    let mut receiver = Receiver::with_deflate(LIMITS, Some(TAKEOVER));
    feed(
        &mut receiver,
        &compressed(true, Text, HELLO),
        &mut Vec::new(),
    );
    assert!(receiver.inflater.as_ref().unwrap().has_stream());
    feed(&mut receiver, &frame(true, Close, ""), &mut Vec::new());
    assert!(!receiver.inflater.as_ref().unwrap().has_stream());
}

/// A message that compresses well, or one that does not.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..2000),
        vec(0..4_u8, 0..5000),
        (any::<u8>(), 0..200_000_usize).prop_map(|(byte, len)| vec![byte; len]),
        "[a-c ]{0,300}".prop_map(String::into_bytes),
    ]
}

/// Cuts `bytes` into pieces of these sizes, in rotation.
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

/// The frames of a compressed message, with a ping before each frame but the first.
fn frames(payload: &[u8], sizes: &[usize]) -> (Vec<u8>, usize) {
    let mut fragments = pieces(payload, sizes);
    if fragments.is_empty() {
        fragments.push(payload);
    }
    let last = fragments.len() - 1;
    let mut bytes = Vec::new();
    for (i, fragment) in fragments.into_iter().enumerate() {
        if i == 0 {
            bytes.extend(compressed(i == last, Binary, fragment));
        } else {
            bytes.extend(frame(true, Ping, "p"));
            bytes.extend(frame(i == last, Continuation, fragment));
        }
    }
    (bytes, last)
}

proptest! {
    #[test]
    fn compressed_messages_survive_any_fragments_and_any_chunking(
        messages in vec(message(), 0..4),
        fragment_sizes in vec(1..3000_usize, 1..4),
        sizes in vec(prop_oneof![1..20_usize, 1..30_000_usize], 1..10),
        (keeps_context, keeps_stream) in any::<(bool, bool)>(),
        (level, bits) in (1..=9_u32, 9..=15_u8),
    ) {
        let mut stream = Compress::new_with_window_bits(Compression::new(level), false, bits);
        let (mut bytes, mut outcomes) = (Vec::new(), Vec::new());
        for message in messages {
            if !keeps_context {
                stream.reset();
            }
            let (frames, pings) = frames(&deflate(&mut stream, &message), &fragment_sizes);
            bytes.extend(frames);
            outcomes.extend(iter::repeat_n(Outcome::Ping(b"p".to_vec()), pings));
            outcomes.push(Outcome::Binary(message));
        }
        let parameters = parameters(keeps_context, keeps_stream);
        let receiver = || Receiver::with_deflate(LIMITS, Some(parameters));
        prop_assert_eq!(&receive_by(receiver(), pieces(&bytes, &sizes)), &outcomes);
        prop_assert_eq!(&receive_into_spare_of(receiver(), &bytes, sizes[0]), &outcomes);
    }

    #[test]
    fn compressed_noise_has_the_same_outcome_in_any_chunking(
        frames in vec((any::<bool>(), 0..3_u8, any::<bool>(), vec(any::<u8>(), 0..60)), 0..8),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        message in message(),
        is_text: bool,
        (keeps_context, keeps_stream) in any::<(bool, bool)>(),
        sizes in vec(1..50_usize, 1..10),
        max_message_size in prop_oneof![0..300_u64, 0..200_000_u64],
    ) {
        let limits = Limits {
            max_message_size,
            max_fragments: 16_384,
            allow_reserved_status_codes: true,
        };
        // A valid message with a few corrupt bytes, then frames of noise.
        let mut payload = deflated(message);
        for (at, bits) in flips {
            let at = at.index(payload.len());
            payload[at] ^= bits;
        }
        let mut bytes = compressed(true, if is_text { Text } else { Binary }, payload);
        for (fin, opcode, is_compressed, payload) in frames {
            let rsv = if is_compressed { Rsv::RSV1 } else { Rsv::NONE };
            bytes.extend(frame_with(rsv, fin, Opcode::try_from(opcode).unwrap(), payload));
        }
        let parameters = parameters(keeps_context, keeps_stream);
        let receiver = || Receiver::with_deflate(limits, Some(parameters));
        let whole = receive_by(receiver(), [bytes.as_slice()]);
        prop_assert_eq!(&receive_by(receiver(), pieces(&bytes, &sizes)), &whole);
        prop_assert_eq!(&receive_by(receiver(), bytes.chunks(1)), &whole);
        prop_assert_eq!(&receive_into_spare_of(receiver(), &bytes, sizes[0]), &whole);
    }

    #[test]
    fn a_compressed_message_inflates_to_itself(
        messages in vec(message(), 1..5),
        (keeps_context, keeps_stream) in any::<(bool, bool)>(),
        (level, bits) in (1..=9_u8, 9..=15_u8),
    ) {
        let mut deflater = Deflater::new(DeflateLevel::new(level).unwrap(), bits).unwrap();
        let (mut bytes, mut outcomes, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages {
            if !keeps_context {
                deflater.forget();
            }
            bytes.extend(match deflater.deflate(&message, &mut buffer) {
                Some(payload) => {
                    prop_assert!(payload.len() < message.len());
                    compressed(true, Binary, payload)
                }
                None => frame(true, Binary, &message),
            });
            outcomes.push(Outcome::Binary(message));
        }
        let parameters = parameters(keeps_context, keeps_stream);
        let receiver = Receiver::with_deflate(LIMITS, Some(parameters));
        prop_assert_eq!(receive_by(receiver, [bytes.as_slice()]), outcomes);
    }
}
