//! Close frames (RFC 6455, sections 5.5.1 and 7.4).

use super::{LIMITS, Outcome, check, frame};
use crate::protocol::{Limits, Opcode, ProtocolError};

fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(
        true,
        Opcode::Close,
        [&code.to_be_bytes(), reason.as_ref()].concat(),
    )
}

#[test]
fn the_event_has_code_and_reason() {
    let reason = "é".repeat(61);
    let cases = [
        ("nothing", frame(true, Opcode::Close, ""), None),
        ("code", close(1000, ""), Some((1000, String::new()))),
        (
            "reason",
            close(1001, "gone"),
            Some((1001, "gone".to_owned())),
        ),
        (
            "long reason",
            close(3000, &reason),
            Some((3000, reason.clone())),
        ),
    ];
    for (name, bytes, expected) in cases {
        check(name, LIMITS, &bytes, &[Outcome::Close(expected.clone())]);
        let more = [bytes, frame(true, Opcode::Text, "late"), vec![0xff; 20]].concat();
        check(name, LIMITS, &more, &[Outcome::Close(expected)]);
    }
}

#[test]
fn malformed_payloads_are_errors() {
    let cases = [
        (
            "one byte",
            frame(true, Opcode::Close, [3]),
            ProtocolError::ClosePayloadTooShort,
        ),
        (
            "not UTF-8",
            close(1000, b"a\xffb"),
            ProtocolError::ReasonNotUtf8,
        ),
        (
            "cut-off character",
            close(1000, b"\xe2\x82"),
            ProtocolError::ReasonNotUtf8,
        ),
        (
            "the code counts first",
            close(1005, b"\xff"),
            ProtocolError::CloseCodeNotAllowed(1005),
        ),
    ];
    for (name, bytes, error) in cases {
        check(name, LIMITS, &bytes, &[Outcome::Error(error)]);
    }
}

#[test]
fn a_bad_reason_is_an_error_before_the_frame_is_complete() {
    let mut bytes = close(1000, b"a\xffbcd");
    bytes.truncate(bytes.len() - 3);
    check(
        "reason",
        LIMITS,
        &bytes,
        &[Outcome::Error(ProtocolError::ReasonNotUtf8)],
    );
    let mut bytes = close(999, b"abcd");
    bytes.truncate(bytes.len() - 4);
    check(
        "code",
        LIMITS,
        &bytes,
        &[Outcome::Error(ProtocolError::CloseCodeNotAllowed(999))],
    );
}

#[test]
fn codes_are_allowed_always_or_never_or_by_configuration() {
    let when_configured = Limits {
        allow_reserved_status_codes: true,
        ..LIMITS
    };
    for code in 0..=u16::MAX {
        let (default, configured) = match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => (true, true),
            1004 | 1016..=2999 => (false, true),
            _ => (false, false),
        };
        for (limits, allowed) in [(LIMITS, default), (when_configured, configured)] {
            let expected = if allowed {
                Outcome::Close(Some((code, String::new())))
            } else {
                Outcome::Error(ProtocolError::CloseCodeNotAllowed(code))
            };
            let received = super::receive(limits, [close(code, "").as_slice()]);
            assert_eq!(received, [expected], "{code}");
        }
    }
}
