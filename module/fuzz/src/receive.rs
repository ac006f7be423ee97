//! Feeds a [`Receiver`] in pieces and checks that it stays within limits of memory and work.

use allocation_counter::{AllocationInfo, measure, opt_out};
use mod_websocket::protocol::{
    DeflateParameters, Event, Input, Limits, MessageKind, ProtocolError, Receiver,
};

/// Memory in bytes that a receiver may take regardless of the bytes received.
const CONSTANT: u64 = 256 * 1024;

/// The same for a receiver that hands out messages in parts, however long they are.
const CONSTANT_IN_PARTS: u64 = 512 * 1024;

/// Memory in bytes that a receiver may hold for each byte received. While a buffer grows, it exists
/// twice.
const PER_BYTE: u64 = 4;

/// The same for the total of all allocations. A receiver that exceeds it copies the same bytes
/// again and again.
const TOTAL_PER_BYTE: u64 = 12;

/// The largest expansion of compressed data (zlib's technical details).
const INFLATION: usize = 1032;

/// The shortest frame of a client: two bytes and the masking key.
const SHORTEST_FRAME: usize = 6;

/// An event with an owned payload, or the error that ended the input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the events are")]
pub enum Outcome {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Error(ProtocolError),
}

impl Outcome {
    fn of_message(kind: MessageKind, payload: Vec<u8>) -> Self {
        match kind {
            MessageKind::Text => Self::Text(String::from_utf8(payload).expect("texts are UTF-8")),
            MessageKind::Binary => Self::Binary(payload),
        }
    }
}

/// What has come, with whole messages in place of their parts.
#[derive(Default)]
struct Outcomes {
    list: Vec<Outcome>,
    /// The parts of a message that is not complete.
    parts: Option<Vec<u8>>,
}

impl Outcomes {
    fn add(&mut self, event: Event<'_>) {
        self.list.push(match event {
            Event::Message { kind, payload } => {
                assert!(self.parts.is_none(), "a message inside another one");
                Outcome::of_message(kind, payload.to_vec())
            }
            Event::Part {
                kind,
                payload,
                is_first,
                is_last,
            } => {
                assert_eq!(is_first, self.parts.is_none());
                assert!(is_last || !payload.is_empty());
                assert!(kind == MessageKind::Binary || str::from_utf8(&payload).is_ok());
                let parts = self.parts.get_or_insert_default();
                parts.extend_from_slice(&payload);
                if !is_last {
                    return;
                }
                Outcome::of_message(kind, self.parts.take().unwrap_or_default())
            }
            Event::Ping(payload) => Outcome::Ping(payload.to_vec()),
            Event::Pong(payload) => Outcome::Pong(payload.to_vec()),
            Event::Close(frame) => {
                Outcome::Close(frame.map(|frame| (frame.code.get(), frame.reason.to_owned())))
            }
        });
    }
}

/// The way in which bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All at once.
    Whole,
    /// One by one.
    Bytes,
    /// In pieces of pseudo-random lengths, for which the number is the seed. Large payloads go
    /// directly into the receiver's buffer if [`Receiver::spare`] offers it. The connection becomes
    /// idle after each piece.
    Pieces(u8),
}

/// The settings that the first byte of an input stands for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The receiver's limits.
    pub limits: Limits,
    /// A further way in which the bytes arrive.
    pub delivery: Delivery,
}

impl From<u8> for Settings {
    /// The lowest bit allows reserved status codes. The next two select the longest message.
    fn from(byte: u8) -> Self {
        let limits = Limits {
            max_fragments: u32::MAX,
            allow_reserved_status_codes: byte & 1 != 0,
            max_message_size: [32 * 1024 * 1024, 1, 1000, u64::MAX][usize::from(byte >> 1 & 3)],
        };
        Self {
            limits,
            delivery: Delivery::Pieces(byte >> 3),
        }
    }
}

/// The outcomes of `bytes`. With parameters for compression, messages may be compressed.
///
/// # Panics
///
/// If the receiver exceeds its limits.
#[must_use]
pub fn receive(
    limits: Limits,
    deflate: Option<DeflateParameters>,
    bytes: &[u8],
    delivery: Delivery,
) -> Vec<Outcome> {
    let make = || Receiver::with_deflate(limits, deflate);
    let (outcomes, used) = receive_by(make, bytes, delivery);
    let most_held = match deflate {
        None => bytes.len(),
        Some(_) => bytes.len() * INFLATION,
    };
    check_memory(&used, most_held.try_into().unwrap_or(u64::MAX), limits);
    outcomes
}

/// The same by a receiver that hands out messages in parts. The outcomes have whole messages.
///
/// # Panics
///
/// If the receiver exceeds its limits.
#[must_use]
pub fn receive_in_parts(
    limits: Limits,
    deflate: Option<DeflateParameters>,
    bytes: &[u8],
    delivery: Delivery,
) -> Vec<Outcome> {
    let make = || Receiver::with_deflate(limits, deflate).in_parts();
    let (outcomes, used) = receive_by(make, bytes, delivery);
    assert!(
        used.bytes_max <= CONSTANT_IN_PARTS,
        "{} bytes of memory for parts",
        used.bytes_max
    );
    outcomes
}

fn receive_by(
    make: impl FnOnce() -> Receiver,
    bytes: &[u8],
    delivery: Delivery,
) -> (Vec<Outcome>, AllocationInfo) {
    let mut bytes = bytes.to_vec();
    let mut outcomes = Outcomes {
        list: Vec::with_capacity(bytes.len() / SHORTEST_FRAME + 2),
        parts: None,
    };
    let mut pieces = Pieces::new(delivery);
    let used = measure(|| {
        let mut receiver = make();
        let mut input = bytes.as_mut_slice();
        while !input.is_empty() {
            let len = pieces.next_len().min(input.len());
            let piece = input.split_off_mut(..len).unwrap_or_default();
            pieces.feed(&mut receiver, piece, &mut outcomes);
        }
    });
    check_outcomes(bytes.len(), &outcomes.list);
    (outcomes.list, used)
}

/// Checks the memory used. `received` is the number of bytes of all messages, inflated.
fn check_memory(used: &AllocationInfo, received: u64, limits: Limits) {
    // For a moment the receiver holds one byte more than the limit, to see that the limit is
    // exceeded.
    let held = received.min(limits.max_message_size.saturating_add(1));
    assert!(
        used.bytes_max <= CONSTANT + PER_BYTE * held,
        "{} bytes of memory for {held} held",
        used.bytes_max
    );
    assert!(
        used.bytes_total <= CONSTANT + TOTAL_PER_BYTE * received,
        "{} bytes of memory in turn for {received} received",
        used.bytes_total
    );
}

fn check_outcomes(received: usize, outcomes: &[Outcome]) {
    assert!(outcomes.len() <= received / SHORTEST_FRAME + 1);
    let is_end = |outcome: &Outcome| matches!(outcome, Outcome::Close(_) | Outcome::Error(_));
    let end = outcomes.iter().position(is_end);
    assert!(
        end.is_none_or(|end| end + 1 == outcomes.len()),
        "nothing follows the end"
    );
}

/// The lengths of the pieces, and how to feed each.
struct Pieces {
    delivery: Delivery,
    state: u32,
}

impl Pieces {
    fn new(delivery: Delivery) -> Self {
        let state = match delivery {
            Delivery::Pieces(number) => u32::from(number) * 2 + 1,
            Delivery::Whole | Delivery::Bytes => 1,
        };
        Self { delivery, state }
    }

    /// Mostly short, sometimes long, never 0.
    fn next_len(&mut self) -> usize {
        match self.delivery {
            Delivery::Whole => usize::MAX,
            Delivery::Bytes => 1,
            Delivery::Pieces(_) => {
                // A step of xorshift.
                self.state ^= self.state << 13;
                self.state ^= self.state >> 17;
                self.state ^= self.state << 5;
                let limit = 1 << (self.state >> 28);
                1 + self.state as usize % limit
            }
        }
    }

    fn feed(&self, receiver: &mut Receiver, mut piece: &mut [u8], outcomes: &mut Outcomes) {
        if matches!(self.delivery, Delivery::Pieces(_)) {
            receiver.release();
            while let Some(spare) = receiver.spare() {
                let len = spare.len().min(piece.len());
                if len == 0 {
                    return;
                }
                let front = piece.split_off_mut(..len).unwrap_or_default();
                spare[..len].copy_from_slice(front);
                note(receiver.filled(len), outcomes);
            }
        }
        let mut buffer = Vec::new();
        opt_out(|| buffer.extend([&*piece, &[0; Input::BEHIND]].concat()));
        let mut input = Input::new(&mut buffer, piece.len());
        while note(receiver.receive(&mut input), outcomes) {}
        assert!(input.is_empty(), "everything is taken");
        opt_out(|| drop(buffer));
    }
}

/// Keeps the outcome, whose memory is not the receiver's. Returns whether there was one.
fn note(received: Result<Option<Event<'_>>, ProtocolError>, outcomes: &mut Outcomes) -> bool {
    let is_any = !matches!(received, Ok(None));
    opt_out(|| match received {
        Ok(event) => event.into_iter().for_each(|event| outcomes.add(event)),
        Err(error) => outcomes.list.push(Outcome::Error(error)),
    });
    is_any
}
