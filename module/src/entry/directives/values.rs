//! Parses the arguments of directives.

use std::time::Duration;

use super::times::parse_time_or;
use crate::entry::config::{HtaccessPlugins, PlainRequests};
use crate::protocol::{DeflateContext, DeflateLevel, OriginPolicy};
use crate::reactor::Threads;
use crate::registry::{DrainTime, Rate};

/// httpd's own limit for sizes: the largest `apr_off_t`.
const LARGEST_SIZE: u64 = i64::MAX as u64;

pub(super) fn parse_size(directive: &str, text: &str) -> Result<u64, String> {
    parse_bytes(directive, 1, text)
}

pub(super) fn parse_compression_threshold(text: &str) -> Result<u64, String> {
    parse_bytes("WebSocketCompressionThreshold", 0, text)
}

pub(super) fn parse_bytes(directive: &str, least: u64, text: &str) -> Result<u64, String> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(size) if digits_only && (least..=LARGEST_SIZE).contains(&size) => Ok(size),
        _ => Err(format!(
            "{directive} must be a number of bytes from {least} to {LARGEST_SIZE}, not '{text}'"
        )),
    }
}

pub(super) fn parse_compression_level(text: &str) -> Result<DeflateLevel, String> {
    // Exactly one digit: no sign, no leading zeros.
    let level = text.parse().ok().filter(|_| text.len() == 1);
    level.and_then(DeflateLevel::new).ok_or_else(|| {
        format!(
            "WebSocketCompressionLevel must be a number from 1 (fastest) to 9 (smallest), not \
             '{text}'"
        )
    })
}

pub(super) fn parse_compression_context(word: &str) -> Result<DeflateContext, String> {
    match word.to_ascii_lowercase().as_str() {
        "shared" => Ok(DeflateContext::Shared),
        "connection" => Ok(DeflateContext::Connection),
        _ => Err(format!(
            "WebSocketCompressionContext must be Shared or Connection, not '{word}'"
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

pub(super) fn parse_htaccess_plugins(word: &str) -> Result<HtaccessPlugins, String> {
    match word.to_ascii_lowercase().as_str() {
        "named" => Ok(HtaccessPlugins::Named),
        "any" => Ok(HtaccessPlugins::Any),
        "none" => Ok(HtaccessPlugins::None),
        _ => Err(format!(
            "WebSocketHtaccessPlugins must be Named, Any or None, not '{word}'"
        )),
    }
}

pub(super) fn parse_plain_requests(word: &str) -> Result<PlainRequests, String> {
    match word.to_ascii_lowercase().as_str() {
        "explain" => Ok(PlainRequests::Explain),
        "decline" => Ok(PlainRequests::Decline),
        _ => Err(format!(
            "WebSocketPlainRequests must be Explain or Decline, not '{word}'"
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

pub(super) fn parse_drain_time(text: &str) -> Result<DrainTime, String> {
    let time = parse_time_or("Unlimited", "WebSocketDrainTime", Duration::ZERO, text)?;
    Ok(time.map_or(DrainTime::Unlimited, DrainTime::Limited))
}

/// No server has more WebSockets than this.
const HIGHEST_RATE: u32 = 1_000_000;

pub(super) fn parse_drain_rate(text: &str) -> Result<Rate, String> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(rate @ 1..=HIGHEST_RATE) if digits_only => Ok(Rate(rate)),
        _ => Err(format!(
            "WebSocketDrainRate must be a number from 1 to {HIGHEST_RATE}, not '{text}'"
        )),
    }
}

pub(super) fn parse_max_fragments(text: &str) -> Result<u32, String> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(count @ 1..) if digits_only => Ok(count),
        _ => Err(format!(
            "WebSocketMaxFragments must be a number from 1 to {}, not '{text}'",
            u32::MAX
        )),
    }
}

/// More WebSockets than this on one connection are a mistake.
const MOST_STREAMS: usize = 10_000;

pub(super) fn parse_h2_max_streams(text: &str) -> Result<usize, String> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(count @ 1..=MOST_STREAMS) if digits_only => Ok(count),
        _ => Err(format!(
            "WebSocketH2MaxStreams must be a number from 1 to {MOST_STREAMS}, not '{text}'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        DeflateContext, DeflateLevel, DrainTime, Duration, OriginPolicy, PlainRequests, Rate,
        Threads, parse_compression_context, parse_compression_level, parse_compression_threshold,
        parse_drain_rate, parse_drain_time, parse_h2_max_streams, parse_max_fragments,
        parse_origin_check, parse_plain_requests, parse_size, parse_threads,
    };

    #[test]
    fn a_compression_level_is_one_digit_but_zero() {
        for level in 1..=9 {
            let expected = DeflateLevel::new(level).unwrap();
            assert_eq!(parse_compression_level(&level.to_string()), Ok(expected));
        }
        for bad in ["", "0", "10", "-1", "+1", "01", "best", "\u{665}"] {
            let message = parse_compression_level(bad).unwrap_err();
            assert!(message.contains(&format!("'{bad}'")) && message.contains("from 1 "));
        }
    }

    #[test]
    fn a_compression_threshold_may_be_zero() {
        assert_eq!(parse_compression_threshold("0"), Ok(0));
        assert_eq!(parse_compression_threshold("1024"), Ok(1024));
        for bad in ["", "-1", "1k", "9223372036854775808"] {
            let message = parse_compression_threshold(bad).unwrap_err();
            assert!(message.contains(&format!("'{bad}'")) && message.contains("from 0 to"));
        }
    }

    #[test]
    fn a_compression_context_is_one_of_two_words_in_any_case() {
        let shared = DeflateContext::Shared;
        assert_eq!(parse_compression_context("sHared"), Ok(shared));
        let connection = DeflateContext::Connection;
        assert_eq!(parse_compression_context("Connection"), Ok(connection));
        let message = parse_compression_context("none").unwrap_err();
        assert_eq!(
            message,
            "WebSocketCompressionContext must be Shared or Connection, not 'none'"
        );
    }

    #[test]
    fn what_becomes_of_plain_requests_is_one_of_two_words_in_any_case() {
        let explain = PlainRequests::Explain;
        assert_eq!(parse_plain_requests("eXplain"), Ok(explain));
        let decline = PlainRequests::Decline;
        assert_eq!(parse_plain_requests("Decline"), Ok(decline));
        for bad in ["", "On", "404"] {
            let message = parse_plain_requests(bad).unwrap_err();
            let expected =
                format!("WebSocketPlainRequests must be Explain or Decline, not '{bad}'");
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_drain_time_may_be_zero_or_unlimited() {
        let limited = |seconds| Ok(DrainTime::Limited(Duration::from_secs(seconds)));
        assert_eq!(parse_drain_time("0"), limited(0));
        assert_eq!(parse_drain_time("10min"), limited(600));
        assert_eq!(parse_drain_time("unLimited"), Ok(DrainTime::Unlimited));
        for bad in ["", "-1", "Off", "never"] {
            let message = parse_drain_time(bad).unwrap_err();
            let end = format!("from 0 to 8760h, or Unlimited, not '{bad}'");
            assert!(message.starts_with("WebSocketDrainTime must be ") && message.ends_with(&end));
        }
    }

    #[test]
    fn a_drain_rate_is_positive() {
        assert_eq!(parse_drain_rate("1"), Ok(Rate(1)));
        assert_eq!(parse_drain_rate("1000000"), Ok(Rate(1_000_000)));
        for bad in ["", "0", "-1", "+1", "1000001", "1/s"] {
            let expected =
                format!("WebSocketDrainRate must be a number from 1 to 1000000, not '{bad}'");
            assert_eq!(parse_drain_rate(bad), Err(expected));
        }
    }

    #[test]
    fn a_number_of_streams_is_positive() {
        assert_eq!(parse_h2_max_streams("1"), Ok(1));
        assert_eq!(parse_h2_max_streams("10000"), Ok(10_000));
        for bad in ["", "0", "-1", "+1", "10001", "few"] {
            assert!(
                parse_h2_max_streams(bad)
                    .unwrap_err()
                    .contains(&format!("from 1 to 10000, not '{bad}'"))
            );
        }
    }

    #[test]
    fn a_number_of_fragments_is_positive() {
        assert_eq!(parse_max_fragments("1"), Ok(1));
        assert_eq!(parse_max_fragments("4294967295"), Ok(u32::MAX));
        for bad in ["", "0", "-1", "+1", "4294967296", "Off"] {
            let message = parse_max_fragments(bad).unwrap_err();
            assert!(message.contains(&format!("from 1 to 4294967295, not '{bad}'")));
        }
    }

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
