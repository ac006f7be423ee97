//! Directives about topics.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use websocket_plugin::abi::host::Filter;

use super::command::{Argument, Directive};
use super::times::parse_time_or;
use super::values::parse_bytes;
use crate::entry::library::server_path;
use crate::topics::{HistoryRule, Keep, SpaceId};

/// More subscriptions of one connection than this are a mistake.
const MOST_TOPICS: usize = 1_000_000;

/// More messages of one topic than this belong into a database.
const MOST_KEPT: u32 = 1_000_000;

/// There has to be room for some messages.
const LEAST_MEMORY: u64 = 1024 * 1024;

/// A name may be as long as a topic.
const LONGEST_NAME: usize = 255;

pub(super) fn space(directive: &mut Directive<'_>, name: Argument<'_>) -> Result<(), String> {
    if name.0.is_empty() || name.0.len() > LONGEST_NAME {
        return Err(format!(
            "WebSocketTopicSpace must be a name of 1 to {LONGEST_NAME} bytes, not '{}'",
            name.text()
        ));
    }
    directive.config.topics.space = Some(SpaceId::named(name.0));
    Ok(())
}

pub(super) fn max(directive: &mut Directive<'_>, number: Argument<'_>) -> Result<(), String> {
    directive.config.topics.max = Some(parse_max(&number.text())?);
    Ok(())
}

fn parse_max(text: &str) -> Result<usize, String> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits_only);
    number
        .filter(|number| (1..=MOST_TOPICS).contains(number))
        .ok_or_else(|| {
            format!("WebSocketMaxTopics must be a number from 1 to {MOST_TOPICS}, not '{text}'")
        })
}

/// What is missing is empty.
pub(super) fn history(
    directive: &mut Directive<'_>,
    [pattern, count, time]: [Argument<'_>; 3],
) -> Result<(), String> {
    let [pattern, count, time] = [pattern, count, time].map(Argument::text);
    let rule = parse_history(&pattern, &count, &time)?;
    directive.config.topics.history.push(rule);
    Ok(())
}

fn parse_history(pattern: &str, count: &str, time: &str) -> Result<HistoryRule, String> {
    let name = "WebSocketTopicHistory";
    let pattern = parse_pattern(name, pattern)?;
    let is_given = count.eq_ignore_ascii_case("latest");
    let digits_only = count.bytes().all(|byte| byte.is_ascii_digit());
    let number = count.parse().ok().filter(|_| digits_only);
    let count = if is_given {
        1
    } else {
        number
            .filter(|number| (1..=MOST_KEPT).contains(number))
            .ok_or_else(|| {
                format!(
                    "{name} needs the number of messages to keep, from 1 to {MOST_KEPT}, or \
                     Latest, after the pattern, not '{count}'"
                )
            })?
    };
    let time = if time.is_empty() {
        None
    } else {
        parse_time_or("Unlimited", name, Duration::from_millis(1), time)?
    };
    let keep = Keep {
        count,
        time,
        is_given,
    };
    Ok(HistoryRule { pattern, keep })
}

pub(super) fn presence(directive: &mut Directive<'_>, pattern: Argument<'_>) -> Result<(), String> {
    let pattern = parse_pattern("WebSocketTopicPresence", &pattern.text())?;
    directive.config.topics.presence.push(pattern);
    Ok(())
}

pub(super) fn publish(directive: &mut Directive<'_>, pattern: Argument<'_>) -> Result<(), String> {
    let pattern = parse_pattern("WebSocketPublish", &pattern.text())?;
    let patterns = directive.config.topics.publish.get_or_insert_default();
    Arc::make_mut(patterns).push(pattern);
    Ok(())
}

fn parse_pattern(directive: &str, pattern: &str) -> Result<Box<str>, String> {
    match Filter::parse(pattern) {
        Ok(_) => Ok(pattern.into()),
        Err(why) => Err(format!(
            "{directive} needs a topic such as chat/lobby, or a pattern such as chat/* or chat/**, \
             not '{pattern}': {why}"
        )),
    }
}

pub(super) fn memory(directive: &mut Directive<'_>, size: Argument<'_>) -> Result<(), String> {
    directive.only_in_main_server("WebSocketTopicMemory")?;
    let size = parse_bytes("WebSocketTopicMemory", LEAST_MEMORY, &size.text())?;
    directive.config.topics.memory = Some(size);
    Ok(())
}

pub(super) fn store(directive: &mut Directive<'_>, path: Argument<'_>) -> Result<(), String> {
    directive.only_in_main_server("WebSocketTopicStore")?;
    let path = server_path("WebSocketTopicStore", directive.pool(), path.0)?;
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    directive.config.topics.store = Some(path.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HistoryRule, Keep, parse_history, parse_max};
    use std::time::Duration;

    #[test]
    fn a_history_has_a_pattern_a_number_and_perhaps_a_time() {
        let rule = |count, time, is_given| {
            Ok(HistoryRule {
                pattern: "chat/*".into(),
                keep: Keep {
                    count,
                    time,
                    is_given,
                },
            })
        };
        let parse = |count, time| parse_history("chat/*", count, time);
        assert_eq!(parse("100", ""), rule(100, None, false));
        let minutes = Some(Duration::from_secs(300));
        assert_eq!(parse("100", "5min"), rule(100, minutes, false));
        assert_eq!(parse("lAtest", ""), rule(1, None, true));
        assert_eq!(parse("Latest", "unlimited"), rule(1, None, true));
        for bad in ["", "0", "-1", "+1", "1000001", "all"] {
            let message = parse(bad, "").unwrap_err();
            assert!(message.ends_with(&format!("not '{bad}'")), "{message}");
        }
        assert!(parse("1", "soon").unwrap_err().contains("500ms, 30s"));
        let message = parse_history("/chat", "1", "").unwrap_err();
        assert!(message.contains("not '/chat': a topic is a list"));
    }

    #[test]
    fn a_connection_may_have_one_subscription_or_more() {
        assert_eq!(parse_max("1"), Ok(1));
        assert_eq!(parse_max("1000000"), Ok(1_000_000));
        for bad in ["", "0", "-1", "+1", "1000001", "off"] {
            assert_eq!(
                parse_max(bad).unwrap_err(),
                format!("WebSocketMaxTopics must be a number from 1 to 1000000, not '{bad}'")
            );
        }
    }
}
