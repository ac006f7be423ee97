//! What the arguments of directives may be.

use crate::protocol::OriginPolicy;
use crate::reactor::Threads;

/// httpd's own limit for sizes: the largest `apr_off_t`.
const LARGEST_SIZE: u64 = i64::MAX as u64;

pub(super) fn parse_size(directive: &str, text: &str) -> Result<u64, String> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(size @ 1..=LARGEST_SIZE) if digits_only => Ok(size),
        _ => Err(format!(
            "{directive} must be a number of bytes from 1 to {LARGEST_SIZE}, not '{text}'"
        )),
    }
}

pub(super) fn parse_origin_check(word: &str) -> Result<OriginPolicy, String> {
    match word.to_ascii_lowercase().as_str() {
        "off" => Ok(OriginPolicy::Off),
        "same" => Ok(OriginPolicy::Same),
        "trusted" => Ok(OriginPolicy::Trusted),
        _ => Err(format!(
            "WebSocketOriginCheck must be Off, Same or Trusted, not '{word}'"
        )),
    }
}

/// More threads than this in one process are a mistake.
const MOST_THREADS: usize = 10_000;

pub(super) fn parse_threads(min: &str, max: &str) -> Result<Threads, String> {
    let parse = |text: &str| text.parse().ok().filter(|n| (1..=MOST_THREADS).contains(n));
    match (parse(min), parse(max)) {
        (Some(min), Some(max)) if min < max => Ok(Threads { min, max }),
        _ => Err(format!(
            "WebSocketThreads must be two numbers from 1 to {MOST_THREADS}, the first smaller than \
             the second, not '{min} {max}'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{OriginPolicy, Threads, parse_origin_check, parse_size, parse_threads};

    #[test]
    fn threads_are_two_numbers_in_order() {
        assert_eq!(parse_threads("2", "64"), Ok(Threads { min: 2, max: 64 }));
        for (min, max) in [
            ("0", "4"),
            ("4", "4"),
            ("5", "4"),
            ("x", "4"),
            ("1", "10001"),
        ] {
            assert!(
                parse_threads(min, max)
                    .unwrap_err()
                    .contains(&format!("'{min} {max}'"))
            );
        }
    }

    #[test]
    fn a_message_size_is_a_positive_number_of_bytes() {
        assert_eq!(parse_size("D", "1"), Ok(1));
        assert_eq!(parse_size("D", "33554432"), Ok(33_554_432));
        assert_eq!(parse_size("D", "9223372036854775807"), Ok(i64::MAX as u64));
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "1k",
            "1.5",
            " 1",
            "9223372036854775808",
            "ten",
        ] {
            let message = parse_size("D", bad).unwrap_err();
            assert!(message.contains(&format!("'{bad}'")) && message.contains("from 1 to"));
        }
    }

    #[test]
    fn an_origin_check_is_one_of_three_words_in_any_case() {
        assert_eq!(parse_origin_check("off"), Ok(OriginPolicy::Off));
        assert_eq!(parse_origin_check("SAME"), Ok(OriginPolicy::Same));
        assert_eq!(parse_origin_check("Trusted"), Ok(OriginPolicy::Trusted));
        let message = parse_origin_check("On").unwrap_err();
        assert_eq!(
            message,
            "WebSocketOriginCheck must be Off, Same or Trusted, not 'On'"
        );
    }
}
