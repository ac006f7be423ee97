use super::{Assembly, GROWTH, MaskingKey, MessageKind, ProtocolError};

const NO_MASK: MaskingKey = MaskingKey([0; 4]);

fn text(pieces: &[&[u8]]) -> Result<Vec<u8>, ProtocolError> {
    let mut assembly = Assembly::default();
    assembly.begin(MessageKind::Text);
    for piece in pieces {
        assembly.copy(piece, piece.len())?;
        assembly.absorb(piece.len(), NO_MASK, 0)?;
    }
    assembly.finish()?;
    Ok(assembly.payload().to_vec())
}

#[test]
fn pieces_become_one_message() {
    assert_eq!(text(&[]), Ok(vec![]));
    assert_eq!(text(&[b"Hel", b"", b"lo"]), Ok(b"Hello".to_vec()));
    assert_eq!(text(&[b"\xe2", b"\x82", b"\xac"]), Ok("€".into()));
    assert_eq!(text(&[b"\xe2\x82"]), Err(ProtocolError::TextNotUtf8));
}

#[test]
fn each_piece_is_unmasked_from_its_place_in_the_frame() {
    let key = MaskingKey([1, 2, 3, 4]);
    let mut assembly = Assembly::default();
    assembly.begin(MessageKind::Binary);
    assembly.copy(&[1, 2, 3], 5).unwrap();
    assembly.absorb(3, key, 0).unwrap();
    assembly.copy(&[4, 1], 2).unwrap();
    assembly.absorb(2, key, 3).unwrap();
    assert_eq!(assembly.finish(), Ok(Some(MessageKind::Binary)));
    assert_eq!(*assembly.payload(), [0; 5]);
}

#[test]
fn the_buffer_of_a_message_is_reused_for_the_next() {
    let mut assembly = Assembly::default();
    assembly.begin(MessageKind::Binary);
    let room = |assembly: &mut Assembly, expected| {
        assembly.make_room(expected).unwrap();
        assembly.room(expected).len()
    };
    assert_eq!(room(&mut assembly, GROWTH * 10), GROWTH);
    assembly.absorb(GROWTH, NO_MASK, 0).unwrap();
    assert_eq!(room(&mut assembly, GROWTH * 10), GROWTH);
    assembly.finish().unwrap();
    assembly.begin(MessageKind::Binary);
    assert_eq!(room(&mut assembly, GROWTH * 10), 2 * GROWTH);
    assert_eq!(room(&mut assembly, 20_000), 20_000);
}
