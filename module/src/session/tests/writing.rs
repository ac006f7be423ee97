//! Messages that are written piece by piece.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use flate2::{Decompress, FlushDecompress};

use super::{Case, LIMIT, Wire};
use crate::compression::{Compression, CompressionPolicy};
use crate::meter::Meter;
use crate::output::{Broadcast, Caller, Closed, Framing, NotComposed, Rest, SlowClient};
use crate::protocol::{
    DeflateContext, DeflateLevel, DeflateParameters, Lifespan, Limits, Opcode, Receiver,
};

/// The first byte of a frame, and its payload.
type Frame = (u8, Vec<u8>);

impl Case {
    fn compose(&self, piece: &[u8], rest: Rest) {
        self.output.compose(piece, rest, Caller::Own).unwrap();
    }

    fn send(&self, text: &[u8]) {
        let sent = self.output.send(Opcode::Text, text, Caller::Own);
        sent.unwrap();
    }

    /// What the client gets in the next turns.
    fn frames(&mut self) -> Vec<Frame> {
        self.turn();
        frames(&self.wire)
    }
}

fn frames(wire: &Wire) -> Vec<Frame> {
    let (bytes, mut frames) = (wire.received(), Vec::new());
    let mut rest = &bytes[..];
    while let [first, second, after @ ..] = rest {
        let (length, after) = match second {
            126 => (
                usize::from(after[0]) << 8 | usize::from(after[1]),
                &after[2..],
            ),
            length => (usize::from(*length), after),
        };
        frames.push((*first, after[..length].to_vec()));
        rest = &after[length..];
    }
    frames
}

fn frame(first: u8, payload: &[u8]) -> Frame {
    (first, payload.to_vec())
}

#[test]
fn a_short_message_is_one_frame() {
    let mut case = Case::silent();
    assert_eq!(case.output.begin_message(Opcode::Text), Ok(true));
    case.compose(b"one, ", Rest::More);
    assert_eq!(case.frames(), []);
    case.compose(b"two", Rest::Nothing);
    assert_eq!(case.frames(), [frame(0x81, b"one, two")]);
    case.output.begin_message(Opcode::Binary).unwrap();
    case.compose(b"", Rest::Nothing);
    assert_eq!(case.frames(), [frame(0x82, b"")]);
}

#[test]
fn what_is_flushed_is_a_fragment_and_others_wait_for_the_end() {
    let mut case = Case::silent();
    case.send(b"before");
    assert_eq!(case.output.begin_message(Opcode::Text), Ok(true));
    assert_eq!(case.output.begin_message(Opcode::Text), Ok(false));
    case.compose(b"a", Rest::Later);
    case.send(b"behind");
    case.output.answer(Opcode::Pong, b"p");
    let expected = [frame(0x81, b"before"), frame(0x01, b"a"), frame(0x8a, b"p")];
    assert_eq!(case.frames(), expected);
    case.compose(b"", Rest::Later);
    case.compose(b"b", Rest::Later);
    assert_eq!(case.frames(), [frame(0x00, b"b")]);
    case.compose(b"", Rest::Nothing);
    case.send(b"after");
    let expected = [
        frame(0x80, b""),
        frame(0x81, b"behind"),
        frame(0x81, b"after"),
    ];
    assert_eq!(case.frames(), expected);
    let nothing = case.output.compose(b"c", Rest::More, Caller::Own);
    assert_eq!(nothing, Err(NotComposed::Closed));
}

#[test]
fn a_long_message_comes_in_fragments_at_the_pace_of_the_client() {
    const LENGTH: usize = 100_000;
    for caller in [Caller::Own, Caller::Callback, Caller::Thread] {
        let mut case = Case::silent();
        case.output.begin_message(Opcode::Binary).unwrap();
        for piece in vec![b'x'; LENGTH].chunks(9_999) {
            case.output.compose(piece, Rest::More, caller).unwrap();
            let waiting = case.output.waiting();
            assert!(waiting <= LIMIT + 33 * 1024, "{waiting}");
        }
        case.output.compose(b"", Rest::Nothing, caller).unwrap();
        case.home.write();
        let frames = case.frames();
        let firsts: Vec<u8> = frames.iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0x02, 0x00, 0x00, 0x80], "{caller:?}");
        let length: usize = frames.iter().map(|(_, payload)| payload.len()).sum();
        assert_eq!(length, LENGTH);
        case.drop_session();
        let account = case.events.account.take().unwrap();
        assert_eq!(
            (account.sent.messages, account.sent.bytes),
            (1, LENGTH as u64)
        );
    }
}

#[test]
fn messages_behind_one_that_does_not_end_are_refused_when_the_queue_is_full() {
    let case = Case::silent();
    case.output.begin_message(Opcode::Text).unwrap();
    let try_send = || {
        case.output
            .try_send(Opcode::Text, &[b'x'; LIMIT / 2], Caller::Thread)
            .unwrap()
    };
    assert!(try_send() && try_send());
    assert!(!try_send());
    // There is room for the message itself.
    case.compose(b"a", Rest::Later);
    case.compose(b"b", Rest::Nothing);
    case.home.write();
    assert!(try_send());
}

#[test]
fn a_close_frame_ends_a_message_that_is_being_written() {
    let mut case = Case::silent();
    case.output.begin_message(Opcode::Text).unwrap();
    case.compose(b"a", Rest::Later);
    case.send(b"behind");
    let close = case.output.send(Opcode::Close, b"\x03\xe8", Caller::Own);
    close.unwrap();
    let written = case.output.compose(b"b", Rest::Nothing, Caller::Own);
    assert_eq!(written, Err(NotComposed::Closed));
    assert_eq!(case.frames(), [frame(0x01, b"a"), frame(0x88, b"\x03\xe8")]);
    assert_eq!(case.output.waiting(), 0);
}

/// What the client gets at last if a message does not end.
fn incomplete() -> Frame {
    frame(0x88, b"\x03\xf3incomplete message")
}

/// The 101 response is still to be sent.
fn unopened(framing: Framing, patience: Duration) -> Case {
    let limits = Limits {
        max_message_size: 1 << 20,
        max_fragments: 16_384,
        allow_reserved_status_codes: false,
    };
    let lifespan = Lifespan::default();
    let settings = (&lifespan, SlowClient::Wait);
    Case::unopened(framing, Receiver::new(limits), settings, patience, |_| {
        Box::new(|_| ())
    })
}

/// A writer that has written `a` counts as lost at once.
fn lost(framing: Framing) -> Case {
    let case = unopened(framing, Duration::ZERO);
    case.output.open(case.wire.clone());
    assert_eq!(case.output.begin_message(Opcode::Text), Ok(true));
    case.compose(b"a", Rest::Later);
    case
}

#[test]
fn a_message_that_finds_no_room_before_the_101_response_closes_the_connection() {
    let mut case = unopened(
        Framing::new(None, Meter::default()),
        Duration::from_secs(60),
    );
    case.output.begin_message(Opcode::Text).unwrap();
    let long = [b'x'; 100_000];
    let written = case.output.compose(&long, Rest::More, Caller::Own);
    assert_eq!(written, Err(NotComposed::Closed));
    assert_eq!(case.output.begin_message(Opcode::Text), Err(Closed));
    case.output.open(case.wire.clone());
    assert_eq!(
        case.frames(),
        [frame(0x01, &long[..32 * 1024]), incomplete()]
    );
    assert_eq!(case.output.waiting(), 0);
}

#[test]
fn a_panic_while_a_message_is_written_closes_the_connection() {
    let mut case = Case::silent();
    case.output.begin_message(Opcode::Text).unwrap();
    *case.home.on_told.lock().unwrap() = Some(Box::new(|| panic!("as the test says")));
    let write = || case.output.compose(b"a", Rest::Later, Caller::Thread);
    catch_unwind(AssertUnwindSafe(write)).unwrap_err();
    assert_eq!(write(), Err(NotComposed::Closed));
    assert_eq!(case.output.begin_message(Opcode::Text), Err(Closed));
    assert_eq!(case.frames(), [frame(0x01, b"a"), incomplete()]);
}

#[test]
fn a_second_begin_finds_that_the_writer_is_lost_or_the_connection_closing() {
    let mut case = lost(Framing::new(None, Meter::default()));
    assert_eq!(case.output.begin_message(Opcode::Text), Err(Closed));
    assert_eq!(case.frames(), [frame(0x01, b"a"), incomplete()]);

    let case = Case::silent();
    case.output.begin_message(Opcode::Text).unwrap();
    case.output.seal();
    assert_eq!(case.output.begin_message(Opcode::Text), Err(Closed));
}

#[test]
fn a_sender_that_waits_finds_that_the_writer_is_lost() {
    let framing = Framing::new(None, Meter::default());
    let mut case = unopened(framing, Duration::from_millis(50));
    case.output.open(case.wire.clone());
    case.output.begin_message(Opcode::Text).unwrap();
    // On a busy machine the writer may count as lost before.
    let _ = case.output.send(Opcode::Text, &[b'x'; LIMIT], Caller::Own);
    let _ = case.output.compose(b"a", Rest::Later, Caller::Own);
    let sent = case.output.send(Opcode::Text, b"b", Caller::Thread);
    assert_eq!(sent, Err(Closed));
    assert_eq!(case.frames().pop(), Some(incomplete()));
}

#[test]
fn a_sender_waits_for_as_long_as_a_message_is_written() {
    const PATIENCE: Duration = Duration::from_millis(50);
    let mut case = unopened(Framing::new(None, Meter::default()), PATIENCE);
    case.output.open(case.wire.clone());
    case.output.begin_message(Opcode::Text).unwrap();
    let (begun, is_begun) = mpsc::channel();
    let (full, is_full) = mpsc::channel::<()>();
    *case.home.on_told.lock().unwrap() = Some(Box::new(move || {
        begun.send(()).unwrap();
        is_full.recv().unwrap();
        thread::sleep(4 * PATIENCE); // while the sender waits
    }));
    let output = Arc::clone(&case.output);
    let writer = thread::spawn(move || {
        let long = [b'x'; 40_000];
        output.compose(&long, Rest::Nothing, Caller::Thread)
    });
    is_begun.recv().unwrap();
    case.send(&[b'y'; LIMIT]);
    full.send(()).unwrap();
    let sent = case.output.send(Opcode::Text, b"z", Caller::Thread);
    assert_eq!(writer.join().unwrap(), Ok(()));
    assert_eq!(sent, Ok(()));
    let firsts: Vec<u8> = case.frames().iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [0x01, 0x80, 0x81, 0x81]);
}

#[test]
fn a_message_for_many_finds_that_the_writer_is_lost() {
    for is_compressed in [false, true] {
        let context = DeflateContext::Shared;
        let compression = is_compressed.then(|| compression(context));
        let mut case = lost(Framing::new(compression, Meter::default()));
        let payload = noise(1, LIMIT);
        let mut broadcast = Broadcast::new(Opcode::Text, &payload);
        broadcast.send(&case.output, Caller::Callback);
        broadcast.finish();
        assert!(!case.output.is_cut(), "{is_compressed}");
        assert_eq!(case.frames(), [frame(0x01, b"a"), incomplete()]);
    }
}

fn compression(context: DeflateContext) -> Compression {
    let agreed = DeflateParameters::negotiate(b"permessage-deflate", context).unwrap();
    let policy = CompressionPolicy {
        level: DeflateLevel::default(),
        threshold: 10,
        context,
    };
    Compression::new(policy, &agreed)
}

/// A client that has negotiated compression, and its inflater.
struct Inflating {
    case: Case,
    inflater: Decompress,
    /// The server refers to earlier messages.
    keeps: bool,
}

impl Inflating {
    fn new(context: DeflateContext) -> Self {
        let framing = Framing::new(Some(compression(context)), Meter::default());
        let case = unopened(framing, Duration::from_secs(60));
        case.output.open(case.wire.clone());
        Self {
            case,
            inflater: Decompress::new(false),
            keeps: context == DeflateContext::Connection,
        }
    }

    /// The next messages that the client gets.
    fn messages(&mut self) -> Vec<Vec<u8>> {
        let (mut messages, mut payload, mut is_compressed) = (Vec::new(), Vec::new(), false);
        self.case.home.write();
        for (first, fragment) in self.case.frames() {
            if first & 0x0f != 0 {
                assert_eq!(payload, b"", "a message inside another one");
                is_compressed = first & 0x40 != 0;
            }
            payload.extend(fragment);
            if first & 0x80 != 0 {
                let message = std::mem::take(&mut payload);
                messages.push(if is_compressed {
                    self.inflate(message)
                } else {
                    message
                });
            }
        }
        messages
    }

    fn inflate(&mut self, mut payload: Vec<u8>) -> Vec<u8> {
        if !self.keeps {
            self.inflater.reset(false);
        }
        payload.extend([0, 0, 0xff, 0xff]);
        let mut message = Vec::with_capacity(1 << 20);
        let before = self.inflater.total_in();
        self.inflater
            .decompress_vec(&payload, &mut message, FlushDecompress::Sync)
            .unwrap();
        assert_eq!(self.inflater.total_in() - before, payload.len() as u64);
        message
    }
}

/// Bytes that compress somewhat, and no two of which resemble each other far away.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut random = seed;
    let next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"0123456789abcdef"[(random >> 28) as usize]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn a_compressed_message_inflates_to_what_was_written_and_so_do_those_around_it() {
    for context in [DeflateContext::Shared, DeflateContext::Connection] {
        for (length, piece, flushes) in [
            (0, 1, false),
            (9, 2, true),
            (100, 7, false),
            (100, 7, true),
            (50_000, 50_000, false),
            (300_000, 1_000, false),
            (300_000, 10_000, true),
        ] {
            let mut client = Inflating::new(context);
            let around = noise(7, 500);
            let written = noise(8, length);
            for _ in 0..2 {
                client.case.send(&around);
            }
            let mut expected = vec![around.clone(), around.clone(), written.clone()];
            client.case.output.begin_message(Opcode::Binary).unwrap();
            for piece in written.chunks(piece) {
                let rest = if flushes { Rest::Later } else { Rest::More };
                client.case.compose(piece, rest);
                // Compressed meanwhile, and queued behind the message.
                if expected.len() < 5 {
                    client.case.send(&around);
                    expected.push(around.clone());
                }
            }
            client.case.compose(b"", Rest::Nothing);
            client.case.send(&around);
            expected.push(around);
            let messages = client.messages();
            assert!(
                messages == expected,
                "{context:?} {length} {piece} {flushes}"
            );
        }
    }
}
