//! A whole connection: a request, then frames. The output of a server with an echo plugin must be
//! what a client of another implementation understands, and that implementation, as a server, must
//! read the same messages.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_websocket::protocol::{
    ClientHandshake, ClosePayload, FrameHeader, Limits, Opcode, Version,
};
use tungstenite::protocol::Role;
use websocket_fuzz::head::Head;
use websocket_fuzz::peer;
use websocket_fuzz::receive::{Delivery, Outcome, receive};
use websocket_plugin::CloseCode;

const MAX_MESSAGE_SIZE: u32 = 1 << 20;

const LIMITS: Limits = Limits {
    max_message_size: MAX_MESSAGE_SIZE as u64,
    max_fragments: u32::MAX,
    allow_reserved_status_codes: false,
};

fuzz_target!(|input: &[u8]| {
    let (head, bytes) = Head::parse(input);
    let Ok(Some(ClientHandshake { version, .. })) = ClientHandshake::parse(&head.request()) else {
        return;
    };
    if version != Version::V13 {
        // The other implementation does not know the drafts, one of which has a different status
        // code.
        return;
    }
    let received = receive(LIMITS, None, bytes, Delivery::Pieces(7));
    check_received(&received, bytes);

    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for answer in received
        .into_iter()
        .filter_map(|outcome| answer(outcome, version))
    {
        sent.extend(encode(&answer));
        expected.push(answer);
    }
    assert_eq!(read(Role::Client, &sent), expected);
});

fn read(role: Role, bytes: &[u8]) -> Vec<Outcome> {
    peer::read(role, bytes, MAX_MESSAGE_SIZE as usize)
}

/// The event that the client should read as the answer to `received`, if there is one.
fn answer(received: Outcome, version: Version) -> Option<Outcome> {
    match received {
        Outcome::Text(_) | Outcome::Binary(_) => Some(received),
        Outcome::Ping(payload) => Some(Outcome::Pong(payload)),
        Outcome::Pong(_) => None,
        Outcome::Close(status) => Some(Outcome::Close(
            status.map(|(code, _)| (code, String::new())),
        )),
        Outcome::Error(error) => {
            let code = error.close_code(version).get();
            Some(Outcome::Close(Some((code, error.to_string()))))
        }
    }
}

fn encode(answer: &Outcome) -> Vec<u8> {
    let close;
    let (opcode, payload) = match answer {
        Outcome::Text(text) => (Opcode::Text, text.as_bytes()),
        Outcome::Binary(bytes) => (Opcode::Binary, bytes.as_slice()),
        Outcome::Ping(payload) => (Opcode::Ping, payload.as_slice()),
        Outcome::Pong(payload) => (Opcode::Pong, payload.as_slice()),
        Outcome::Close(None) => (Opcode::Close, &[][..]),
        Outcome::Close(Some((code, reason))) => {
            let code = CloseCode::new(*code).expect("it was received or is ours");
            close = ClosePayload::new(code, reason);
            (Opcode::Close, &*close)
        }
        Outcome::Error(_) => unreachable!("an error is answered with a close frame"),
    };
    let header = FrameHeader::unmasked(opcode, payload.len() as u64);
    [&header.encode(), payload].concat()
}

/// The other implementation may find an error later, or not at all.
fn check_received(received: &[Outcome], bytes: &[u8]) {
    let others = read(Role::Server, bytes);
    let (good, is_whole) = match received {
        [good @ .., Outcome::Error(_)] => (good, false),
        good => (good, true),
    };
    assert!(others.starts_with(good), "{received:?}\nbut {others:?}");
    assert!(!is_whole || others.len() == good.len(), "{others:?}");
}
