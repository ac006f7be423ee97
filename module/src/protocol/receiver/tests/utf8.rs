//! Texts must be UTF-8 (RFC 6455, sections 5.6 and 8.1). They are refused as soon as no
//! continuation makes them valid.

use super::{KEY, LIMITS, Outcome, check, frame, header, text};
use crate::protocol::{Opcode, ProtocolError};

const NOT_UTF8: [Outcome; 1] = [Outcome::Error(ProtocolError::TextNotUtf8)];

#[test]
fn characters_may_be_cut_anywhere_between_fragments() {
    let payload =
        "κόσμε \u{1f4a9} long enough to be looked at by the vector code, not only bytewise";
    for at in 0..payload.len() {
        let (front, back) = payload.as_bytes().split_at(at);
        let frames = [
            frame(false, Opcode::Text, front),
            frame(true, Opcode::Ping, ""),
            frame(true, Opcode::Continuation, back),
        ];
        let expected = [Outcome::Ping(vec![]), text(payload)];
        check("cut text", LIMITS, &frames.concat(), &expected);
    }
}

#[test]
fn texts_that_are_not_utf8_are_refused() {
    let cases: [(&str, &[u8]); 9] = [
        ("no such byte", b"a\xffb"),
        ("lone continuation", b"\x80"),
        ("overlong", b"\xc0\xaf"),
        ("surrogate", b"\xed\xa0\x80"),
        ("above U+10FFFF", b"\xf4\x90\x80\x80"),
        ("broken off inside", b"\xe2\x82a"),
        ("cut off at the end", b"text \xe2\x82"),
        (
            "late in a long text",
            &[[b'a'; 200].as_slice(), b"\xff"].concat(),
        ),
        (
            "cut off at the end of a long text",
            &[[b'a'; 200].as_slice(), b"\xf0\x9f\x92"].concat(),
        ),
    ];
    for (name, payload) in cases {
        check(name, LIMITS, &frame(true, Opcode::Text, payload), &NOT_UTF8);
        for at in [0, 1, payload.len()] {
            let (front, back) = payload.split_at(at);
            let frames = [
                frame(false, Opcode::Text, front),
                frame(true, Opcode::Continuation, back),
            ];
            check(name, LIMITS, &frames.concat(), &NOT_UTF8);
        }
        let binary = Outcome::Binary(payload.to_vec());
        check(
            name,
            LIMITS,
            &frame(true, Opcode::Binary, payload),
            &[binary],
        );
    }
}

#[test]
fn a_text_is_refused_before_its_frame_is_complete() {
    let mut payload = *b"\xce\xba\xf4\x90";
    KEY.apply(&mut payload, 0);
    for len in [5, 1000, 20_000, 1_000_000] {
        let bytes = [header(true, Opcode::Text, len), payload.to_vec()].concat();
        check("certain already", LIMITS, &bytes, &NOT_UTF8);
        check("not certain yet", LIMITS, &bytes[..bytes.len() - 1], &[]);
    }
}

#[test]
fn a_text_is_refused_before_its_message_is_complete() {
    let first = frame(false, Opcode::Text, b"\xf4");
    let second = frame(false, Opcode::Continuation, b"\x90");
    check(
        "second fragment",
        LIMITS,
        &[first.clone(), second].concat(),
        &NOT_UTF8,
    );
    check("first alone", LIMITS, &first, &[]);
}
