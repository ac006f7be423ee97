use super::{CloseCode, CloseFrame, ClosePayload};

#[test]
fn the_code_precedes_the_reason() {
    assert_eq!(&*ClosePayload::new(CloseCode::NORMAL, ""), [0x03, 0xe8]);
    assert_eq!(
        &*ClosePayload::new(CloseCode::GOING_AWAY, "bye"),
        b"\x03\xe9bye"
    );
}

#[test]
fn long_reasons_are_cut_between_characters() {
    let cases = [
        ("fits", "a".repeat(123), 123),
        ("one too many", "a".repeat(124), 123),
        ("two-byte characters", "é".repeat(62), 122),
        ("four-byte characters", "\u{1f4a9}".repeat(100), 120),
        (
            "character across the end",
            format!("{}\u{20ac}", "a".repeat(121)),
            121,
        ),
    ];
    for (name, reason, kept) in cases {
        let payload = ClosePayload::new(CloseCode::NORMAL, &reason);
        assert_eq!(&payload[2..], &reason.as_bytes()[..kept], "{name}");
    }
}

#[test]
fn an_encoded_payload_can_be_parsed() {
    let payload = ClosePayload::new(CloseCode::SERVICE_RESTART, "später");
    let frame = CloseFrame {
        code: CloseCode::SERVICE_RESTART,
        reason: "später",
    };
    assert_eq!(CloseFrame::parse(&payload, false), Ok(Some(frame)));
}
