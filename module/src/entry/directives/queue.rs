//! Directives about what waits for a client.

use super::command::{Argument, Directive};
use super::values::parse_size;
use crate::output::SlowClient;

pub(super) fn send_queue(directive: &mut Directive<'_>, size: Argument<'_>) -> Result<(), String> {
    directive.config.send_queue = Some(parse_size("WebSocketSendQueue", &size.text())?);
    Ok(())
}

pub(super) fn slow_client(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.config.slow_client = Some(parse_slow_client(&word.text())?);
    Ok(())
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
    use super::{SlowClient, parse_slow_client};

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
