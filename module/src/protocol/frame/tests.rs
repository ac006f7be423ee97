use super::{FrameHeader, MaskingKey, Opcode, ProtocolError, Rsv};

const OPCODES: [Opcode; 6] = [
    Opcode::Continuation,
    Opcode::Text,
    Opcode::Binary,
    Opcode::Close,
    Opcode::Ping,
    Opcode::Pong,
];

#[test]
fn opcodes_are_the_numbers_of_the_rfc() {
    for number in 0..=u8::MAX {
        match Opcode::try_from(number) {
            Ok(opcode) => assert_eq!(opcode as u8, number),
            Err(error) => assert_eq!(error, ProtocolError::UnknownOpcode(number)),
        }
    }
    assert_eq!(OPCODES.map(|opcode| opcode as u8), [0, 1, 2, 8, 9, 10]);
    assert_eq!(
        OPCODES.map(Opcode::is_control),
        [false, false, false, true, true, true]
    );
}

#[test]
fn the_headers_of_the_rfc_are_encoded() {
    let fragment = FrameHeader {
        fin: false,
        ..FrameHeader::unmasked(Opcode::Text, 3)
    };
    let masked = FrameHeader {
        mask: Some(MaskingKey([0x37, 0xfa, 0x21, 0x3d])),
        ..FrameHeader::unmasked(Opcode::Text, 5)
    };
    let cases: [(FrameHeader, &[u8]); 7] = [
        (FrameHeader::unmasked(Opcode::Text, 5), &[0x81, 0x05]),
        (masked, &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]),
        (fragment, &[0x01, 0x03]),
        (
            FrameHeader::unmasked(Opcode::Continuation, 2),
            &[0x80, 0x02],
        ),
        (FrameHeader::unmasked(Opcode::Ping, 5), &[0x89, 0x05]),
        (
            FrameHeader::unmasked(Opcode::Binary, 256),
            &[0x82, 0x7e, 0x01, 0x00],
        ),
        (
            FrameHeader::unmasked(Opcode::Binary, 65536),
            &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
        ),
    ];
    for (header, bytes) in cases {
        assert_eq!(&*header.encode(), bytes);
    }
}

#[test]
fn lengths_take_as_few_bytes_as_possible() {
    let cases = [
        (0, 2),
        (125, 2),
        (126, 4),
        (65_535, 4),
        (65_536, 10),
        (1 << 62, 10),
    ];
    for (payload_len, len) in cases {
        let header = FrameHeader::unmasked(Opcode::Binary, payload_len);
        assert_eq!(header.encode().len(), len, "{payload_len}");
    }
}

#[test]
fn rsv1_is_the_bit_after_fin() {
    let header = FrameHeader {
        rsv: Rsv::RSV1,
        ..FrameHeader::unmasked(Opcode::Text, 1)
    };
    assert_eq!(&*header.encode(), [0xc1, 1]);
}
