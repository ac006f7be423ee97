//! Feeds a [`Receiver`] in all ways in which bytes can arrive, and checks the result.

use super::{Event, Receiver};
use crate::protocol::{
    FrameHeader, Input, Limits, MaskingKey, MessageKind, Opcode, ProtocolError, Rsv,
};

mod chunks;
mod close;
mod deflate;
mod header;
mod memory;
mod parts;
mod rules;
mod utf8;

const KEY: MaskingKey = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);

const LIMITS: Limits = Limits {
    max_message_size: 32 * 1024 * 1024,
    max_fragments: 16_384,
    allow_reserved_status_codes: false,
};

/// An event with an owned payload, or the error that ended the input.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Text(String),
    Binary(Vec<u8>),
    /// Whether it is text, the bytes, and whether it is the first and the last one.
    Part(MessageKind, Vec<u8>, [bool; 2]),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Error(ProtocolError),
}

impl From<Event<'_>> for Outcome {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message {
                kind: MessageKind::Text,
                payload,
            } => Self::Text(String::from_utf8(payload.to_vec()).unwrap()),
            Event::Message {
                kind: MessageKind::Binary,
                payload,
            } => Self::Binary(payload.to_vec()),
            Event::Part {
                kind,
                payload,
                is_first,
                is_last,
            } => Self::Part(kind, payload.to_vec(), [is_first, is_last]),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(frame) => {
                Self::Close(frame.map(|frame| (frame.code.get(), frame.reason.to_owned())))
            }
        }
    }
}

/// A frame as clients send it.
fn frame(fin: bool, opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut payload = payload.as_ref().to_vec();
    let payload_len = payload.len().try_into().unwrap();
    KEY.apply(&mut payload, 0);
    let mut bytes = header(fin, opcode, payload_len);
    bytes.extend(payload);
    bytes
}

fn header(fin: bool, opcode: Opcode, payload_len: u64) -> Vec<u8> {
    FrameHeader {
        fin,
        rsv: Rsv::NONE,
        opcode,
        mask: Some(KEY),
        payload_len,
    }
    .encode()
    .to_vec()
}

fn text(payload: &str) -> Outcome {
    Outcome::Text(payload.to_owned())
}

/// Feeds one read as a session does. Checks that the receiver takes all of it, even after an error.
fn feed(receiver: &mut Receiver, read: &[u8], outcomes: &mut Vec<Outcome>) {
    let mut bytes = [read, &[0xa5; Input::BEHIND]].concat();
    let mut input = Input::new(&mut bytes, read.len());
    loop {
        while let Some((kind, payload)) = receiver.whole_message(&mut input) {
            outcomes.push(lend(Event::Message { kind, payload }));
        }
        match receiver.receive(&mut input) {
            Ok(Some(event)) => outcomes.push(lend(event)),
            Ok(None) => break,
            Err(error) => outcomes.push(Outcome::Error(error)),
        }
    }
    assert!(input.is_empty());
    assert_eq!(bytes.last(), Some(&0xa5), "the byte behind what was read");
}

/// Writes a NUL after a message, as many plugins in C do.
fn lend(mut event: Event<'_>) -> Outcome {
    if let Event::Message { payload, .. } | Event::Part { payload, .. } = &mut event {
        payload.write_behind(0);
    }
    event.into()
}

fn receive<'r>(limits: Limits, reads: impl IntoIterator<Item = &'r [u8]>) -> Vec<Outcome> {
    receive_by(Receiver::new(limits), reads)
}

fn receive_by<'r>(
    mut receiver: Receiver,
    reads: impl IntoIterator<Item = &'r [u8]>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for read in reads {
        feed(&mut receiver, read, &mut outcomes);
    }
    outcomes
}

/// Feeds reads of at most `size` bytes, directly into the spare room if there is any.
fn receive_into_spare(limits: Limits, bytes: &[u8], size: usize) -> Vec<Outcome> {
    receive_into_spare_of(Receiver::new(limits), bytes, size)
}

fn receive_into_spare_of(mut receiver: Receiver, mut bytes: &[u8], size: usize) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while !bytes.is_empty() {
        let mut n = size.min(bytes.len());
        if let Some(spare) = receiver.spare() {
            n = n.min(spare.len());
            spare[..n].copy_from_slice(&bytes[..n]);
            match receiver.filled(n) {
                Ok(event) => outcomes.extend(event.map(lend)),
                Err(error) => outcomes.push(Outcome::Error(error)),
            }
        } else {
            feed(&mut receiver, &bytes[..n], &mut outcomes);
        }
        bytes = &bytes[n..];
    }
    outcomes
}

/// Checks the outcomes of `bytes`, for all ways of cutting them into pieces.
fn check(name: &str, limits: Limits, bytes: &[u8], expected: &[Outcome]) {
    check_by(name, &|| Receiver::new(limits), bytes, expected);
}

fn check_by(name: &str, receiver: &dyn Fn() -> Receiver, bytes: &[u8], expected: &[Outcome]) {
    let outcomes = receive_by(receiver(), [bytes]);
    assert_eq!(outcomes, expected, "{name}");
    let outcomes = receive_by(receiver(), bytes.chunks(1));
    assert_eq!(outcomes, expected, "{name}, byte by byte");
    for at in 1..bytes.len() {
        let (front, back) = bytes.split_at(at);
        let outcomes = receive_by(receiver(), [front, back]);
        assert_eq!(outcomes, expected, "{name}, split at {at}");
    }
    for size in [1, 1000, usize::MAX] {
        let outcomes = receive_into_spare_of(receiver(), bytes, size);
        let reads = format!("reads of {size} into the spare room");
        assert_eq!(outcomes, expected, "{name}, {reads}");
    }
    let in_parts = || receiver().in_parts();
    for size in [1, 2, 3, 7, 1000, usize::MAX] {
        let reads = bytes.chunks(size.min(bytes.len().max(1)));
        let outcomes = parts::joined(receive_by(in_parts(), reads));
        parts::compare(&format!("{name}, in parts of {size}"), &outcomes, expected);
        let outcomes = parts::joined(receive_into_spare_of(in_parts(), bytes, size));
        let name = format!("{name}, in parts of {size} by the spare room");
        parts::compare(&name, &outcomes, expected);
    }
}
