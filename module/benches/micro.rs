//! What the protocol costs without sockets and without httpd: `cargo bench --bench micro`.
//!
//! The check of UTF-8 is what `decode_ascii` and `decode_greek` take longer than `decode_binary`.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use mod_websocket::protocol::{
    DeflateContext, DeflateLevel, DeflateParameters, Deflater, Event, FrameHeader, Input, Limits,
    MaskingKey, Opcode, Receiver, Rsv,
};

/// Lengths of payloads in bytes.
const SIZES: [usize; 5] = [32, 1024, 16 * 1024, 64 * 1024, 1024 * 1024];

/// How much arrives at a time, of frames that do not arrive in one piece.
const READ_SIZE: usize = 16 * 1024;

/// Leaves payloads as they are, at full cost: so the same bytes can be decoded again and again.
const NEUTRAL_KEY: MaskingKey = MaskingKey([0; 4]);

const LIMITS: Limits = Limits {
    max_message_size: 32 * 1024 * 1024,
    max_fragments: 16_384,
    allow_reserved_status_codes: false,
};

const MAX_WINDOW_BITS: u8 = 15;

/// The byte that a buffer has behind what was read.
const BEHIND: [u8; Input::BEHIND] = [0];

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES)]
fn unmask(bencher: Bencher<'_, '_>, size: usize) {
    let mut payload = vec![b'x'; size];
    bencher
        .counter(BytesCount::new(size))
        .bench_local(|| MaskingKey([0x37, 0xfa, 0x21, 0x3d]).apply(black_box(&mut payload), 0));
}

#[divan::bench(args = SIZES)]
fn decode_binary(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, Opcode::Binary, &vec![0xff; size]);
}

#[divan::bench(args = SIZES)]
fn decode_ascii(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, Opcode::Text, &vec![b'x'; size]);
}

#[divan::bench(args = SIZES)]
fn decode_greek(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, Opcode::Text, &greek(size));
}

/// A text that no read brings whole, so that it is put together and checked piece by piece.
#[divan::bench(args = [64 * 1024, 1024 * 1024])]
fn decode_greek_in_pieces(bencher: Bencher<'_, '_>, size: usize) {
    let mut receiver = receiver();
    let bytes = frame(Opcode::Text, &greek(size));
    let mut pieces: Vec<_> = bytes.chunks(READ_SIZE).map(<[u8]>::to_vec).collect();
    for piece in &mut pieces {
        piece.extend(BEHIND);
    }
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let pieces = black_box(&mut pieces).iter_mut();
        let messages: usize = pieces.map(|piece| receive_all(&mut receiver, piece)).sum();
        assert_eq!(messages, 1);
    });
}

/// What a read brings when many messages wait.
#[divan::bench(args = [1, 16, 64])]
fn decode_short_messages(bencher: Bencher<'_, '_>, count: usize) {
    let mut receiver = receiver();
    let mut bytes = frame(Opcode::Text, &[b'x'; 32]).repeat(count);
    bytes.extend(BEHIND);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        assert_eq!(receive_all(&mut receiver, black_box(&mut bytes)), count);
    });
}

#[divan::bench(args = SIZES)]
fn encode_header(bencher: Bencher<'_, '_>, size: usize) {
    let len = size as u64;
    bencher.bench_local(|| FrameHeader::unmasked(Opcode::Text, black_box(len)).encode());
}

/// What a message costs to compress at each level when the compressor keeps no context.
#[divan::bench(args = [1, 2, 3, 6, 9], consts = [1024, 65536])]
fn deflate<const SIZE: usize>(bencher: Bencher<'_, '_>, level: u8) {
    let level = DeflateLevel::new(level).expect("from 1 to 9");
    let mut deflater = Deflater::new(level, MAX_WINDOW_BITS).expect("there is memory");
    let (message, mut buffer) = (json(SIZE), Vec::new());
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        deflater.forget();
        deflater
            .deflate(black_box(&message), &mut buffer)
            .expect("JSON gets smaller")
            .len()
    });
}

/// The same at the default level with the messages before it to refer to, which are the same here.
#[divan::bench]
fn deflate_in_context(bencher: Bencher<'_, '_>) {
    let mut deflater =
        Deflater::new(DeflateLevel::default(), MAX_WINDOW_BITS).expect("there is memory");
    let (message, mut buffer) = (json(1024), Vec::new());
    bencher
        .counter(BytesCount::new(1024_usize))
        .bench_local(|| {
            deflater
                .deflate(black_box(&message), &mut buffer)
                .expect("JSON gets smaller")
                .len()
        });
}

#[divan::bench(args = [1024, 64 * 1024])]
fn inflate(bencher: Bencher<'_, '_>, size: usize) {
    let shared = DeflateParameters::negotiate(b"permessage-deflate", DeflateContext::Shared);
    let mut receiver = Receiver::with_deflate(LIMITS, shared);
    let mut buffer = Vec::new();
    let payload = Deflater::new(DeflateLevel::default(), MAX_WINDOW_BITS)
        .expect("there is memory")
        .deflate(&json(size), &mut buffer)
        .expect("JSON gets smaller")
        .to_vec();
    let mut bytes = frame_with(Rsv::RSV1, Opcode::Text, &payload);
    bytes.extend(BEHIND);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        assert_eq!(receive_all(&mut receiver, black_box(&mut bytes)), 1);
        // As at the end of a turn.
        receiver.release();
    });
}

fn decode(bencher: Bencher<'_, '_>, opcode: Opcode, payload: &[u8]) {
    let mut receiver = receiver();
    let mut bytes = frame(opcode, payload);
    bytes.extend(BEHIND);
    bencher
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| {
            assert_eq!(receive_all(&mut receiver, black_box(&mut bytes)), 1);
        });
}

/// Gives the number of messages that end in `bytes`, but for the one behind them.
fn receive_all(receiver: &mut Receiver, bytes: &mut [u8]) -> usize {
    let len = bytes.len() - BEHIND.len();
    let mut bytes = Input::new(bytes, len);
    let mut messages = 0;
    while let Some(event) = receiver
        .receive(&mut bytes)
        .expect("frames as they should be")
    {
        if let Event::Message { payload, .. } = event {
            black_box(payload);
            messages += 1;
        }
    }
    messages
}

fn receiver() -> Receiver {
    Receiver::new(LIMITS)
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame_with(Rsv::NONE, opcode, payload)
}

fn frame_with(rsv: Rsv, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        fin: true,
        rsv,
        opcode,
        mask: Some(NEUTRAL_KEY),
        payload_len: payload.len() as u64,
    };
    [&header.encode(), payload].concat()
}

/// A text of letters of two bytes each.
fn greek(size: usize) -> Vec<u8> {
    "κόσμε"
        .chars()
        .cycle()
        .take(size / 2)
        .collect::<String>()
        .into_bytes()
}

/// A list of records as services send them.
fn json(size: usize) -> Vec<u8> {
    let users = ["alice", "bob", "carol", "dave", "erin", "frank"];
    let mut random = 12_345_u64;
    let mut text = String::from("[");
    while text.len() < size {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let [a, b, c, d, ..] = random.to_be_bytes();
        let user = users[usize::from(a) % users.len()];
        let id = random >> 40;
        let active = d > 127;
        text += &format!(r#"{{"id":{id},"user":"{user}","price":{b}.{c:02},"active":{active}}},"#);
    }
    text.truncate(size);
    text.into_bytes()
}
