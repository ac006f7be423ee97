//! Compressed messages: however they are cut, and whatever they inflate to, the receiver's outcome
//! is the same, within limits of memory. Messages that the server compresses inflate to themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_websocket::protocol::{
    DeflateContext, DeflateLevel, DeflateParameters, Deflater, FrameHeader, Limits, MaskingKey,
    Opcode, Rsv,
};
use websocket_fuzz::receive::{Delivery, Outcome, Settings, receive, receive_in_parts};

fuzz_target!(|input: &[u8]| {
    let Some((&settings, bytes)) = input.split_first() else {
        return;
    };
    let Settings {
        mut limits,
        delivery,
    } = Settings::from(settings);
    // Large bombs would take all the time.
    limits.max_message_size = limits.max_message_size.min(128 * 1024);
    let parameters = DeflateParameters {
        client_no_context_takeover: settings & 1 != 0,
        context: if settings & 8 == 0 {
            DeflateContext::Shared
        } else {
            DeflateContext::Connection
        },
        ..DeflateParameters::default()
    };
    let whole = receive(limits, Some(parameters), bytes, Delivery::Whole);
    for delivery in [delivery, Delivery::Bytes] {
        let outcomes = receive(limits, Some(parameters), bytes, delivery);
        assert_eq!(outcomes, whole, "{delivery:?}");
    }
    for delivery in [delivery, Delivery::Bytes, Delivery::Whole] {
        let outcomes = receive_in_parts(limits, Some(parameters), bytes, delivery);
        assert!(
            is_same_or_earlier(&outcomes, &whole),
            "in parts, {delivery:?}: {outcomes:?}\nbut {whole:?}"
        );
    }
    check_round_trip(limits, parameters, whole);
});

/// Whether the outcomes are the same. In parts, a mistake in a message may be found earlier: a
/// receiver that waits for the end of the message does not inflate all that has come. Until then it
/// may answer control frames, and if the input ends before the message, it never finds the mistake.
fn is_same_or_earlier(in_parts: &[Outcome], whole: &[Outcome]) -> bool {
    let [before @ .., Outcome::Error(_)] = in_parts else {
        return in_parts == whole;
    };
    let is_message = |outcome: &Outcome| matches!(outcome, Outcome::Text(_) | Outcome::Binary(_));
    let later = whole.strip_prefix(before);
    later.is_some_and(|later| !later.iter().any(is_message))
}

fn check_round_trip(limits: Limits, parameters: DeflateParameters, received: Vec<Outcome>) {
    let is_message = |outcome: &Outcome| matches!(outcome, Outcome::Text(_) | Outcome::Binary(_));
    let messages: Vec<_> = received.into_iter().filter(is_message).collect();
    let mut deflater = Deflater::new(DeflateLevel::default(), parameters.server_window_bits())
        .expect("there is memory");
    let mut frames = Vec::new();
    for message in &messages {
        frames.extend(compress(&mut deflater, message));
        if parameters.client_no_context_takeover {
            deflater.forget();
        }
    }
    let again = receive(limits, Some(parameters), &frames, Delivery::Whole);
    assert_eq!(again, messages);
}

/// A frame as a client would send it.
fn compress(deflater: &mut Deflater, message: &Outcome) -> Vec<u8> {
    let (opcode, payload) = match message {
        Outcome::Text(text) => (Opcode::Text, text.as_bytes()),
        Outcome::Binary(bytes) => (Opcode::Binary, bytes.as_slice()),
        _ => unreachable!("only messages are compressed"),
    };
    let mut buffer = Vec::new();
    let (rsv, payload) = match deflater.deflate(payload, &mut buffer) {
        Some(compressed) => (Rsv::RSV1, compressed),
        None => (Rsv::NONE, payload),
    };
    let header = FrameHeader {
        fin: true,
        rsv,
        opcode,
        mask: Some(MaskingKey([0; 4])),
        payload_len: payload.len() as u64,
    };
    [&header.encode(), payload].concat()
}
