//! The directives about send queues and memory.

use super::command::{Argument, Directive};
use super::values::{parse_bytes, parse_size};
use crate::output::SlowClient;

pub(super) fn send_queue(directive: &mut Directive<'_>, size: Argument<'_>) -> Result<(), String> {
    directive.config.send_queue = Some(parse_size("WebSocketSendQueue", &size.text())?);
    Ok(())
}

pub(super) fn slow_client(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.config.slow_client = Some(parse_slow_client(&word.text())?);
    Ok(())
}

/// The smallest limit: a few messages have to fit.
const LEAST_MEMORY: u64 = 1024 * 1024;

pub(super) fn memory_limit(
    directive: &mut Directive<'_>,
    size: Argument<'_>,
) -> Result<(), String> {
    directive.only_in_main_server("WebSocketMemoryLimit")?;
    directive.config.memory_limit = Some(parse_memory_limit(&size.text())?);
    Ok(())
}

fn parse_memory_limit(text: &str) -> Result<Option<u64>, String> {
    if text.eq_ignore_ascii_case("Off") {
        return Ok(None);
    }
    parse_bytes("WebSocketMemoryLimit", LEAST_MEMORY, text)
        .map(Some)
        .map_err(|message| format!("{message} (Off for no limit)"))
}

fn parse_slow_client(word: &str) -> Result<SlowClient, String> {
    match word.to_ascii_lowercase().as_str() {
        "wait" => Ok(SlowClient::Wait),
        "close" => Ok(SlowClient::Close),
        _ => Err(format!(
            "WebSocketSlowClient must be Wait or Close, not '{word}'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{SlowClient, parse_memory_limit, parse_slow_client};

    #[test]
    fn a_memory_limit_is_a_mebibyte_or_more_or_off() {
        assert_eq!(parse_memory_limit("oFF"), Ok(None));
        assert_eq!(parse_memory_limit("1048576"), Ok(Some(1 << 20)));
        for bad in ["", "0", "-1", "1048575", "256M"] {
            let message = parse_memory_limit(bad).unwrap_err();
            assert!(message.contains(&format!("from 1048576 to 9223372036854775807, not '{bad}'")));
        }
    }

    #[test]
    fn what_becomes_of_slow_clients_is_one_of_two_words_in_any_case() {
        assert_eq!(parse_slow_client("wAIT"), Ok(SlowClient::Wait));
        assert_eq!(parse_slow_client("Close"), Ok(SlowClient::Close));
        for bad in ["", "On", "Drop"] {
            let expected = format!("WebSocketSlowClient must be Wait or Close, not '{bad}'");
            assert_eq!(parse_slow_client(bad), Err(expected));
        }
    }
}
