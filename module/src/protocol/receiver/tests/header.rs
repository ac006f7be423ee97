//! Incomplete headers are checked, too. A client is refused at the first byte after which no
//! continuation is valid, and not earlier.

use super::{KEY, Outcome, Receiver, feed, frame};
use crate::protocol::{DeflateParameters, Limits, Opcode, ProtocolError};

/// The state of a connection when the header arrives.
#[derive(Clone, Copy, Debug)]
struct Place {
    max_message_size: u64,
    deflate: bool,
    /// A message is in progress, of which five bytes have arrived.
    in_message: bool,
}

impl Place {
    fn all() -> impl Iterator<Item = Self> {
        [3, 100, 125, 126, 300, 65_536, u64::MAX]
            .into_iter()
            .flat_map(|max_message_size| {
                [(false, false), (false, true), (true, false), (true, true)].map(
                    |(deflate, in_message)| Self {
                        max_message_size,
                        deflate,
                        in_message: in_message && max_message_size >= 5,
                    },
                )
            })
    }

    /// The error of `bytes`, if the receiver gets no more than these.
    fn mistake(self, bytes: &[u8]) -> Option<ProtocolError> {
        let limits = Limits {
            max_message_size: self.max_message_size,
            max_fragments: 16_384,
            allow_reserved_status_codes: false,
        };
        let deflate = self.deflate.then(DeflateParameters::default);
        let mut receiver = Receiver::with_deflate(limits, deflate);
        let mut outcomes = Vec::new();
        if self.in_message {
            let begun = frame(false, Opcode::Binary, "begun");
            feed(&mut receiver, &begun, &mut outcomes);
        }
        feed(&mut receiver, bytes, &mut outcomes);
        match outcomes.as_slice() {
            [] => None,
            [Outcome::Error(error)] => Some(*error),
            others => panic!("{self:?}, {bytes:02x?}: {others:?}"),
        }
    }

    /// Checks that `front` is an error exactly if it is one with every possible next byte.
    fn check_front(self, front: &[u8]) {
        let mut longer = [front, &[0]].concat();
        let is_hopeless = (0..=u8::MAX).all(|next| {
            longer[front.len()] = next;
            self.mistake(&longer).is_some()
        });
        let is_refused = self.mistake(front).is_some();
        assert_eq!(is_refused, is_hopeless, "{self:?}, {front:02x?}");
    }
}

#[test]
fn the_first_byte_is_an_error_if_no_next_byte_is_valid() {
    let is_extreme = |place: &Place| [3, u64::MAX].contains(&place.max_message_size);
    for place in Place::all().filter(is_extreme) {
        for first in 0..=u8::MAX {
            place.check_front(&[first]);
        }
    }
}

#[test]
fn bytes_of_a_length_are_an_error_if_no_next_byte_is_valid() {
    const SOME: [u8; 5] = [0, 1, 0x7f, 0x80, 0xff];
    for place in Place::all() {
        for first in [0x82, 0x01, 0x80, 0x00, 0xc1, 0x89, 0x88] {
            for second in [0xfe, 0xff, 0x7e, 0x80, 0x81, 0x85] {
                place.check_front(&[first, second]);
            }
            for byte in SOME {
                place.check_front(&[first, 0xfe, byte]);
                for zeros in 0..7 {
                    place.check_front(&[&[first, 0xff][..], &[0; 7][..zeros], &[byte]].concat());
                }
            }
        }
    }
}

#[test]
fn the_error_is_the_one_that_the_earliest_byte_decides() {
    let place = Place {
        max_message_size: 1000,
        deflate: false,
        in_message: false,
    };
    for (bytes, certain, mistake) in [
        (&[0xc9, 0x7f][..], 1, ProtocolError::ReservedBits),
        (&[0x09, 0x7e], 1, ProtocolError::FragmentedControl),
        (&[0x80, 0x05], 1, ProtocolError::UnexpectedContinuation),
        (&[0x83, 0x05], 1, ProtocolError::UnknownOpcode(3)),
        (&[0x89, 0x7f], 2, ProtocolError::Unmasked),
        (&[0x88, 0x81, 1], 2, ProtocolError::ClosePayloadTooShort),
        (&[0x88, 0xfe, 1], 2, ProtocolError::ControlTooLong),
        (&[0x82, 0xfe, 3, 0xe9], 4, ProtocolError::TooBig(1000)),
        (&[0x82, 0xfe, 4, 0], 3, ProtocolError::TooBig(1000)),
        (&[0x82, 0xfe, 0, 125], 4, ProtocolError::LengthNotMinimal),
        (&[0x82, 0xff, 0x80, 0], 2, ProtocolError::TooBig(1000)),
    ] {
        for len in 0..=bytes.len() {
            let expected = (len >= certain).then_some(mistake);
            assert_eq!(
                place.mistake(&bytes[..len]),
                expected,
                "{bytes:02x?}, {len}"
            );
        }
        let whole = [bytes, &KEY.0, &[0; 20]].concat();
        assert_eq!(place.mistake(&whole), Some(mistake), "{bytes:02x?}");
    }
    let large = Place {
        max_message_size: u64::MAX,
        ..place
    };
    let not_minimal = [0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    for (bytes, certain, mistake) in [
        (not_minimal, 8, ProtocolError::LengthNotMinimal),
        (
            [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
            3,
            ProtocolError::LengthTooLarge,
        ),
    ] {
        for len in 0..=bytes.len() {
            let expected = (len >= certain).then_some(mistake);
            assert_eq!(
                large.mistake(&bytes[..len]),
                expected,
                "{bytes:02x?}, {len}"
            );
        }
    }
}

#[test]
fn earlier_fragments_count_towards_the_limit() {
    let place = Place {
        max_message_size: 100,
        deflate: false,
        in_message: true,
    };
    assert_eq!(place.mistake(&[0x80, 0x80 | 95]), None);
    assert_eq!(
        place.mistake(&[0x80, 0x80 | 96]),
        Some(ProtocolError::TooBig(100))
    );
    // A control frame between the fragments is not part of the message.
    assert_eq!(place.mistake(&[0x89, 0x80 | 100]), None);
}
