//! The directives about how much there may be of something.

use super::command::{Argument, Directive};

/// The largest part that may be kept for ordinary requests, in percent.
const LARGEST_RESERVE: u8 = 99;

pub(super) fn reserve(directive: &mut Directive<'_>, percent: Argument<'_>) -> Result<(), String> {
    directive.config.limits.reserve = Some(parse_reserve(&percent.text())?);
    Ok(())
}

fn parse_reserve(text: &str) -> Result<u8, String> {
    let has_digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(percent @ 0..=LARGEST_RESERVE) if has_digits_only => Ok(percent),
        _ => Err(format!(
            "WebSocketReserve must be a number of percent from 0 to {LARGEST_RESERVE}, not '{text}'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_reserve;

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
}
