//! UTF-8 validation of complete and of incomplete texts (RFC 6455, section 8.1).

/// The text contains a byte that is not UTF-8 at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidUtf8;

/// Whether all of `text` is UTF-8.
#[inline]
pub(super) fn is_utf8(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

/// The number of bytes of `text` that are complete characters, for a text that may continue. Only
/// the beginning of a character at the end, at most three bytes, is not counted.
///
/// # Errors
///
/// [`InvalidUtf8`] as soon as no continuation can make `text` valid.
pub(super) fn valid_prefix(text: &[u8]) -> Result<usize, InvalidUtf8> {
    match simdutf8::compat::from_utf8(text) {
        Ok(_) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidUtf8, is_utf8, valid_prefix};

    #[test]
    fn characters_cut_off_at_the_end_may_still_become_valid() {
        let text = "κό\u{1f4a9}".as_bytes();
        for cut in 0..=text.len() {
            let valid = valid_prefix(&text[..cut]).unwrap();
            assert!(is_utf8(&text[..valid]) && cut - valid < 4, "cut at {cut}");
        }
        assert_eq!(valid_prefix(text), Ok(text.len()));
    }

    #[test]
    fn the_first_impossible_byte_is_an_error() {
        let cases: [(&str, &[u8], usize); 8] = [
            ("lone continuation", b"a\x80", 1),
            ("overlong slash", b"\xc0\xaf", 0),
            ("overlong in three bytes", b"\xe0\x9f\xbf", 1),
            ("surrogate", b"\xed\xa0\x80", 1),
            ("above U+10FFFF", b"\xf4\x90\x80\x80", 1),
            ("five-byte form", b"\xf8\x88\x80\x80\x80", 0),
            ("sequence broken off", b"\xe2\x82a", 2),
            (
                "no such byte",
                b"long enough for the vector code, which takes 64 bytes a time: \xff",
                62,
            ),
        ];
        for (name, text, at) in cases {
            assert!(valid_prefix(&text[..at]).is_ok(), "{name}: before");
            assert_eq!(valid_prefix(&text[..=at]), Err(InvalidUtf8), "{name}");
            assert!(!is_utf8(text), "{name}: whole");
        }
    }
}
