//! The directives about limits.

use std::time::Duration;

use super::command::{Argument, Directive};
use crate::protocol::{Excess, MessageRate, Rate};

/// The largest part of the capacity that may be kept for other requests, in percent.
const LARGEST_RESERVE: u8 = 99;

/// A larger limit of connections is a mistake.
const MOST_CONNECTIONS: usize = 10_000_000;

/// The largest limit for one client, whose WebSockets are counted one by one.
const MOST_PER_CLIENT: usize = 10_000;

/// The largest number in a second, minute or hour, and the largest burst.
const MOST_IN_PERIOD: u32 = 1_000_000;

pub(super) fn reserve(directive: &mut Directive<'_>, percent: Argument<'_>) -> Result<(), String> {
    directive.config.limits.reserve = Some(parse_reserve(&percent.text())?);
    Ok(())
}

pub(super) fn max_connections(
    directive: &mut Directive<'_>,
    number: Argument<'_>,
) -> Result<(), String> {
    let number = parse_number("WebSocketMaxConnections", MOST_CONNECTIONS, &number.text())?;
    directive.config.limits.max_connections = Some(number);
    Ok(())
}

pub(super) fn max_per_client(
    directive: &mut Directive<'_>,
    number: Argument<'_>,
) -> Result<(), String> {
    let name = "WebSocketMaxConnectionsPerClient";
    let number = parse_number(name, MOST_PER_CLIENT, &number.text())?;
    directive.config.limits.max_per_client = Some(number);
    Ok(())
}

/// `burst` is empty if it is missing.
pub(super) fn handshake_rate(
    directive: &mut Directive<'_>,
    rate: Argument<'_>,
    burst: Argument<'_>,
) -> Result<(), String> {
    let rate = parse_rate("WebSocketHandshakeRate", &rate.text(), &burst.text())?;
    directive.config.limits.handshake_rate = Some(rate);
    Ok(())
}

/// Missing arguments are empty. The burst may be left out before the last word.
pub(super) fn message_rate(
    directive: &mut Directive<'_>,
    [rate, burst, excess]: [Argument<'_>; 3],
) -> Result<(), String> {
    let [rate, burst, excess] = [rate, burst, excess].map(Argument::text);
    directive.config.limits.message_rate = Some(parse_message_rate(&rate, &burst, &excess)?);
    Ok(())
}

fn parse_message_rate(
    rate: &str,
    burst: &str,
    excess: &str,
) -> Result<Option<MessageRate>, String> {
    let is_word = |text: &str| text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let (burst, word) = if excess.is_empty() && is_word(burst) {
        ("", burst)
    } else {
        (burst, excess)
    };
    let excess = match word.to_ascii_lowercase().as_str() {
        "" | "pause" => Excess::Waits,
        "close" => Excess::Closes,
        _ => {
            return Err(format!(
                "the last word of WebSocketMessageRate must be Pause or Close, not '{word}'"
            ));
        }
    };
    let rate = parse_rate("WebSocketMessageRate", rate, burst)?;
    Ok(rate.map(|rate| MessageRate { rate, excess }))
}

fn parse_reserve(text: &str) -> Result<u8, String> {
    match number(text) {
        Some(percent @ 0..=LARGEST_RESERVE) => Ok(percent),
        _ => Err(format!(
            "WebSocketReserve must be a number of percent from 0 to {LARGEST_RESERVE}, not '{text}'"
        )),
    }
}

/// A number from 1 to `most`. `Off` gives `None`.
fn parse_number(directive: &str, most: usize, text: &str) -> Result<Option<usize>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let number = number(text).filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| {
        format!("{directive} must be a number from 1 to {most}, or Off, not '{text}'")
    })
}

/// `N/s`, `N/min` or `N/h`, and a burst, which is `N` if `burst` is empty. `Off` gives `None`.
fn parse_rate(directive: &str, text: &str, burst: &str) -> Result<Option<Rate>, String> {
    if text.eq_ignore_ascii_case("off") && burst.is_empty() {
        return Ok(None);
    }
    let parsed = || {
        let (count, period) = text.split_once('/')?;
        let period = match period.to_ascii_lowercase().as_str() {
            "s" => 1,
            "min" => 60,
            "h" => 60 * 60,
            _ => return None,
        };
        let count = number(count)?;
        let burst = if burst.is_empty() {
            count
        } else {
            number(burst)?
        };
        let is_sensible = [count, burst]
            .iter()
            .all(|number| *number <= MOST_IN_PERIOD);
        Rate::new(count, Duration::from_secs(period), burst).filter(|_| is_sensible)
    };
    parsed().map(Some).ok_or_else(|| {
        let given = [text, burst].join(" ");
        format!(
            "{directive} must be a rate such as 10/s, 30/min or 100/h, and the number that may \
             come at once (from 1 to {MOST_IN_PERIOD} each), or Off, not '{}'",
            given.trim_end()
        )
    })
}

/// A number of digits only, without a sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let has_digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| has_digits_only)
}

#[cfg(test)]
mod tests {
    use super::{parse_message_rate, parse_number, parse_rate, parse_reserve};
    use crate::protocol::{Excess, MessageRate, Rate};
    use std::time::Duration;

    #[test]
    fn a_reserve_is_a_number_of_percent_below_a_hundred() {
        for (text, percent) in [("0", 0), ("10", 10), ("99", 99)] {
            assert_eq!(parse_reserve(text), Ok(percent));
        }
        for bad in ["", "-1", "+1", "100", "10%", "1.5", "few", "300"] {
            assert_eq!(
                parse_reserve(bad).unwrap_err(),
                format!("WebSocketReserve must be a number of percent from 0 to 99, not '{bad}'")
            );
        }
    }

    #[test]
    fn a_number_of_connections_is_positive_or_off() {
        for (text, number) in [("1", Some(1)), ("100", Some(100)), ("oFF", None)] {
            assert_eq!(parse_number("D", 100, text), Ok(number));
        }
        for bad in ["", "0", "-1", "+1", "101", "many", "99999999999999999999"] {
            let message = format!("D must be a number from 1 to 100, or Off, not '{bad}'");
            assert_eq!(parse_number("D", 100, bad), Err(message));
        }
    }

    #[test]
    fn a_rate_of_messages_says_what_becomes_of_more() {
        let limit = |burst, excess| {
            let rate = Rate::new(10, Duration::from_secs(1), burst);
            Ok(rate.map(|rate| MessageRate { rate, excess }))
        };
        let parse = parse_message_rate;
        assert_eq!(parse("10/s", "", ""), limit(10, Excess::Waits));
        assert_eq!(parse("10/s", "20", ""), limit(20, Excess::Waits));
        assert_eq!(parse("10/s", "20", "cLose"), limit(20, Excess::Closes));
        assert_eq!(parse("10/s", "Close", ""), limit(10, Excess::Closes));
        assert_eq!(parse("10/s", "paUse", ""), limit(10, Excess::Waits));
        assert_eq!(parse("Off", "", ""), Ok(None));
        for (burst, excess, word) in [("drop", "", "drop"), ("20", "drop", "drop")] {
            let message = parse("10/s", burst, excess).unwrap_err();
            assert!(message.ends_with(&format!("must be Pause or Close, not '{word}'")));
        }
        assert!(
            parse("10", "20", "close")
                .unwrap_err()
                .contains("10/s, 30/min")
        );
        assert!(
            parse("10/s", "0", "close")
                .unwrap_err()
                .contains("'10/s 0'")
        );
    }

    #[test]
    fn a_rate_is_a_number_in_a_time_and_one_for_bursts() {
        let rate = |count, seconds, burst| Rate::new(count, Duration::from_secs(seconds), burst);
        for (text, burst, parsed) in [
            ("10/s", "", rate(10, 1, 10)),
            ("10/S", "50", rate(10, 1, 50)),
            ("30/min", "1", rate(30, 60, 1)),
            ("1/h", "", rate(1, 3600, 1)),
            ("off", "", None),
        ] {
            assert_eq!(parse_rate("D", text, burst), Ok(parsed));
        }
        for (text, burst) in [
            ("", ""),
            ("10", ""),
            ("10/", ""),
            ("0/s", ""),
            ("-1/s", ""),
            ("10/day", ""),
            ("10/s", "0"),
            ("10/s", "x"),
            ("1000001/s", ""),
            ("off", "5"),
        ] {
            let message = parse_rate("D", text, burst).unwrap_err();
            let given = format!("not '{}'", format!("{text} {burst}").trim_end());
            assert!(message.contains("10/s, 30/min or 100/h") && message.ends_with(&given));
        }
    }
}
