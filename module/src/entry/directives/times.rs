//! Times in directives, with the suffixes of httpd's own directives.

use std::time::Duration;

/// The longest time. A longer one is a mistake: a word such as `Off` says "never".
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses a time of at least `least`: a whole number followed by `ms`, `s`, `min` (or `mi`) or `h`
/// in any case. A number alone is in seconds.
///
/// # Errors
///
/// A message that says what is allowed.
pub(super) fn parse_time(directive: &str, least: Duration, text: &str) -> Result<Duration, String> {
    time(text)
        .filter(|time| (least..=LONGEST).contains(time))
        .ok_or_else(|| refusal(directive, least, "", text))
}

/// The same, but `word` (in any case) is allowed too and gives `None`.
///
/// # Errors
///
/// A message that says what is allowed.
pub(super) fn parse_time_or(
    word: &str,
    directive: &str,
    least: Duration,
    text: &str,
) -> Result<Option<Duration>, String> {
    if text.eq_ignore_ascii_case(word) {
        return Ok(None);
    }
    time(text)
        .filter(|time| (least..=LONGEST).contains(time))
        .map(Some)
        .ok_or_else(|| refusal(directive, least, &format!(", or {word}"), text))
}

fn refusal(directive: &str, least: Duration, or_word: &str, text: &str) -> String {
    let least = if least.is_zero() {
        "0".into()
    } else {
        format!("{least:?}")
    };
    format!(
        "{directive} must be a time such as 500ms, 30s, 5min or 1h (a number alone is in seconds) \
         from {least} to 8760h{or_word}, not '{text}'"
    )
}

/// `None` if `text` is not a time, or is too long for a number.
fn time(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let number: u64 = number.parse().ok()?;
    let milliseconds = match suffix.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1000,
        "mi" | "min" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, parse_time, parse_time_or};
    use std::time::Duration;

    #[test]
    fn a_time_has_the_suffixes_of_httpd_and_is_in_seconds_without() {
        for (text, milliseconds) in [
            ("0", 0),
            ("30", 30_000),
            ("500ms", 500),
            ("30s", 30_000),
            ("5min", 300_000),
            ("5mi", 300_000),
            ("1h", 3_600_000),
            ("2MIN", 120_000),
            ("007s", 7000),
        ] {
            let expected = Ok(Duration::from_millis(milliseconds));
            assert_eq!(parse_time("D", Duration::ZERO, text), expected, "{text}");
        }
        assert_eq!(parse_time("D", Duration::ZERO, "8760h"), Ok(LONGEST));
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is_allowed() {
        let least = Duration::from_millis(100);
        for bad in [
            "",
            "s",
            "-1",
            "+1",
            "-5min",
            "1.5s",
            " 1",
            "1 s",
            "1m",
            "1us",
            "1sec",
            "5parsecs",
            "Off",
            "99ms",
            "8761h",
            "18446744073709551615",
            "18446744073709551616",
            "18446744073709551615h",
            "\u{665}",
        ] {
            let expected = format!(
                "D must be a time such as 500ms, 30s, 5min or 1h (a number alone is in seconds) \
                 from 100ms to 8760h, not '{bad}'"
            );
            assert_eq!(parse_time("D", least, bad), Err(expected));
        }
        let message = parse_time("D", Duration::ZERO, "x").unwrap_err();
        assert!(message.contains("from 0 to 8760h"));
    }

    #[test]
    fn a_word_may_stand_for_no_time() {
        let parse = |text| parse_time_or("Off", "D", Duration::from_secs(1), text);
        assert_eq!(parse("oFF"), Ok(None));
        assert_eq!(parse("1"), Ok(Some(Duration::from_secs(1))));
        for bad in ["", "On", "0", "-1", "Offs"] {
            let message = parse(bad).unwrap_err();
            assert!(message.ends_with(&format!("from 1s to 8760h, or Off, not '{bad}'")));
        }
    }
}
