//! Masking of the client's payloads (RFC 6455, section 5.3).

/// The bits that are 0 in every byte of an ASCII text.
const NOT_ASCII: u64 = u64::from_ne_bytes([0x80; 8]);

/// The four bytes that mask a frame's payload by XOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskingKey(pub [u8; 4]);

impl MaskingKey {
    /// Masks or unmasks `bytes`. The first of them is the byte at `offset` in the payload.
    #[inline]
    pub fn apply(self, bytes: &mut [u8], offset: usize) {
        self.xor(bytes, offset);
    }

    /// Does the same, and returns whether the result is ASCII. The check costs next to nothing
    /// while the words are in registers. For most texts it replaces the check for UTF-8.
    #[inline]
    pub(super) fn apply_to_text(self, bytes: &mut [u8], offset: usize) -> bool {
        self.xor(bytes, offset) & NOT_ASCII == 0
    }

    /// Masks, and returns the OR of all resulting words and bytes.
    #[inline]
    fn xor(self, bytes: &mut [u8], offset: usize) -> u64 {
        let mut key = self.0;
        key.rotate_left(offset % 4);
        let [a, b, c, d] = key;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        // The compiler turns a loop over whole words into vector instructions.
        let (words, rest) = bytes.as_chunks_mut::<8>();
        let mut seen = 0;
        for word in words {
            let outcome = u64::from_ne_bytes(*word) ^ wide;
            *word = outcome.to_ne_bytes();
            seen |= outcome;
        }
        for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
            seen |= u64::from(*byte);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::MaskingKey;

    const KEY: MaskingKey = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);

    /// The formula of the RFC: byte i is XORed with byte i mod 4 of the key.
    fn naive(key: MaskingKey, bytes: &mut [u8], offset: usize) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key.0[(offset + i) % 4];
        }
    }

    #[test]
    fn the_result_equals_the_formula_at_every_alignment_length_and_offset() {
        let original: Vec<u8> = (0..=255).collect();
        for start in 0..16 {
            for len in 0..=144 {
                for offset in 0..4 {
                    let (mut fast, mut slow) = (original.clone(), original.clone());
                    KEY.apply(&mut fast[start..start + len], offset);
                    naive(KEY, &mut slow[start..start + len], offset);
                    assert_eq!(fast, slow, "start {start}, length {len}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn a_single_byte_that_is_not_ascii_is_detected_at_every_position() {
        for len in 0..=48 {
            let mut bytes = vec![b'a'; len];
            KEY.apply(&mut bytes, 1);
            assert!(KEY.apply_to_text(&mut bytes.clone(), 1), "length {len}");
            for at in 0..len {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x80;
                assert!(!KEY.apply_to_text(&mut bytes, 1), "length {len}, byte {at}");
            }
        }
    }

    #[test]
    fn the_masked_hello_of_the_rfc_is_unmasked() {
        let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        KEY.apply(&mut bytes, 0);
        assert_eq!(&bytes, b"Hello");
    }

    proptest! {
        #[test]
        fn masking_twice_in_pieces_is_the_identity(
            key: [u8; 4],
            original: Vec<u8>,
            cut: prop::sample::Index,
        ) {
            let key = MaskingKey(key);
            let mut bytes = original.clone();
            key.apply(&mut bytes, 0);
            let cut = cut.index(bytes.len() + 1);
            let (front, back) = bytes.split_at_mut(cut);
            key.apply(front, 0);
            key.apply(back, cut);
            prop_assert_eq!(bytes, original);
        }
    }
}
