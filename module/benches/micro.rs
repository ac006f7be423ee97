//! What the protocol costs without sockets and without httpd: `cargo bench --bench micro`.
//!
//! The check of UTF-8 is what `decode_ascii` and `decode_greek` take longer than `decode_binary`.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use mod_websocket::protocol::{Event, FrameHeader, Limits, MaskingKey, Opcode, Receiver, Rsv};

/// Lengths of payloads in bytes.
const SIZES: [usize; 5] = [32, 1024, 16 * 1024, 64 * 1024, 1024 * 1024];

/// How much arrives at a time, of frames that do not arrive in one piece.
const READ_SIZE: usize = 16 * 1024;

/// Leaves payloads as they are, at full cost: so the same bytes can be decoded again and again.
const NEUTRAL_KEY: MaskingKey = MaskingKey([0; 4]);

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
    let mut bytes = frame(Opcode::Text, &greek(size));
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let pieces = black_box(&mut bytes).chunks_mut(READ_SIZE);
        let messages: usize = pieces.map(|piece| receive_all(&mut receiver, piece)).sum();
        assert_eq!(messages, 1);
    });
}

/// What a read brings when many messages wait.
#[divan::bench(args = [1, 16, 64])]
fn decode_short_messages(bencher: Bencher<'_, '_>, count: usize) {
    let mut receiver = receiver();
    let mut bytes = frame(Opcode::Text, &[b'x'; 32]).repeat(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        assert_eq!(receive_all(&mut receiver, black_box(&mut bytes)), count);
    });
}

#[divan::bench(args = SIZES)]
fn encode_header(bencher: Bencher<'_, '_>, size: usize) {
    let len = size as u64;
    bencher.bench_local(|| FrameHeader::unmasked(Opcode::Text, black_box(len)).encode());
}

fn decode(bencher: Bencher<'_, '_>, opcode: Opcode, payload: &[u8]) {
    let mut receiver = receiver();
    let mut bytes = frame(opcode, payload);
    bencher
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| {
            assert_eq!(receive_all(&mut receiver, black_box(&mut bytes)), 1);
        });
}

/// Gives the number of messages that end in `bytes`.
fn receive_all(receiver: &mut Receiver, mut bytes: &mut [u8]) -> usize {
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
    Receiver::new(Limits {
        max_message_size: 32 * 1024 * 1024,
        allow_reserved_status_codes: false,
    })
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        fin: true,
        rsv: Rsv::NONE,
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
