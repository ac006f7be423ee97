//! Directives about topics between hosts.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use super::command::{Argument, Directive};
use crate::entry::library::server_path;
use crate::topics::{
    BrokerAddress, BrokerCredentials, BrokerSettings, DEFAULT_BROKER_KEEP, Partition,
};

const NAME: &str = "WebSocketTopicBroker";

/// A broker that keeps fewer could not even bridge a second.
const LEAST_KEPT: u32 = 100;

/// More messages than this belong into a database.
const MOST_KEPT: u32 = 100_000_000;

/// The address comes first, then options.
pub(super) fn broker(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.only_in_main_server(NAME)?;
    let text = word.text();
    let named = |prefix: &[u8]| word.0.strip_prefix(prefix);
    if let Some(path) = named(b"file:") {
        let (path, content) = read(directive, path)?;
        let settings = settings(directive, &text)?;
        let credentials = str::from_utf8(&content)
            .map_err(|_| "it is not UTF-8")
            .and_then(|content| BrokerCredentials::parse(content, settings.address.kind))
            .map_err(|why| format!("{NAME} file:{path}: {why}"))?;
        settings.credentials = Some(credentials);
    } else if let Some(path) = named(b"ca:") {
        let (path, content) = read(directive, path)?;
        let begins = content.windows(BEGIN.len()).any(|part| part == BEGIN);
        if !begins {
            return Err(format!("{NAME} ca:{path}: no certificate in PEM is in it"));
        }
        settings(directive, &text)?.authorities = Some(content);
    } else if let Some(number) = text.strip_prefix("keep:") {
        settings(directive, &text)?.keep = parse_keep(number)?;
    } else {
        let address = BrokerAddress::parse(&text).map_err(|why| {
            format!("{NAME} needs {why}; behind it may stand file:path, ca:path and keep:number")
        })?;
        directive.config.topics.broker = Some(Arc::new(BrokerSettings {
            address,
            credentials: None,
            authorities: None,
            keep: DEFAULT_BROKER_KEEP,
        }));
    }
    Ok(())
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Those of the address that stands before an option.
fn settings<'d>(
    directive: &'d mut Directive<'_>,
    option: &str,
) -> Result<&'d mut BrokerSettings, String> {
    let broker = directive.config.topics.broker.as_mut();
    broker
        .map(Arc::make_mut)
        .ok_or_else(|| format!("{NAME} needs an address before '{option}'"))
}

/// httpd reads its configuration as root, before it becomes the user of its children.
fn read(directive: &Directive<'_>, path: &[u8]) -> Result<(String, Vec<u8>), String> {
    let path = server_path(NAME, directive.pool(), path)?.to_bytes();
    let content = fs::read(OsStr::from_bytes(path));
    let path = String::from_utf8_lossy(path).into_owned();
    match content {
        Ok(content) => Ok((path, content)),
        Err(error) => Err(format!("{NAME}: cannot read {path}: {error}")),
    }
}

fn parse_keep(text: &str) -> Result<u32, String> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits_only);
    number
        .filter(|number| (LEAST_KEPT..=MOST_KEPT).contains(number))
        .ok_or_else(|| {
            format!("{NAME} keep: must be a number from {LEAST_KEPT} to {MOST_KEPT}, not '{text}'")
        })
}

pub(super) fn partition(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.only_in_main_server("WebSocketTopicPartition")?;
    directive.config.topics.partition = Some(parse_partition(&word.text())?);
    Ok(())
}

fn parse_partition(word: &str) -> Result<Partition, String> {
    match word.to_ascii_lowercase().as_str() {
        "refuse" => Ok(Partition::Refuse),
        "local" => Ok(Partition::Local),
        _ => Err(format!(
            "WebSocketTopicPartition must be Refuse or Local, not '{word}'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Partition, parse_keep, parse_partition};

    #[test]
    fn a_broker_keeps_a_number_of_messages() {
        assert_eq!(parse_keep("100"), Ok(100));
        assert_eq!(parse_keep("100000000"), Ok(100_000_000));
        for bad in ["", "99", "+100", "100000001", "all"] {
            let message = parse_keep(bad).unwrap_err();
            assert!(message.ends_with(&format!("from 100 to 100000000, not '{bad}'")));
        }
    }

    #[test]
    fn what_becomes_of_messages_is_one_of_two_words_in_any_case() {
        assert_eq!(parse_partition("rEfuse"), Ok(Partition::Refuse));
        assert_eq!(parse_partition("Local"), Ok(Partition::Local));
        assert_eq!(
            parse_partition("Off").unwrap_err(),
            "WebSocketTopicPartition must be Refuse or Local, not 'Off'"
        );
    }
}
