//! The directives, from their text to [`Config`].
//!
//! If a directive returns a message, httpd does not start. httpd puts the file and line before the
//! message.

#![allow(unsafe_code)]

mod command;
mod lifespan;
mod limits;
mod queue;
mod times;
mod topic_broker;
mod topics;
mod values;

use std::sync::Arc;

use super::config::Config;
use super::library;
use super::startup::Subject;
use crate::httpd::sys;
use crate::protocol::form_to_use;
use command::{
    Argument, Directive, END, each, flag, of_configuration, of_section, of_server, one, one_or_two,
    two, up_to_three,
};
use values::{
    parse_compression_context, parse_compression_level, parse_compression_threshold,
    parse_drain_rate, parse_drain_time, parse_h2_max_streams, parse_htaccess_plugins,
    parse_max_fragments, parse_origin_check, parse_plain_requests, parse_size, parse_threads,
};

pub(super) struct Table(&'static [sys::command_rec]);

// SAFETY: the table holds constants and pointers to constants. Nothing writes to it.
unsafe impl Sync for Table {}

impl Table {
    pub(super) const fn as_ptr(&self) -> *const sys::command_rec {
        self.0.as_ptr()
    }
}

pub(super) static TABLE: Table = Table(&[
    two(
        c"WebSocketHandler",
        &(handler as _),
        c"Path of a plugin library, followed by the name of its init function",
    ),
    two(
        c"WebSocketPluginOption",
        &(plugin_option as _),
        c"Name and value of an option of the Rust plugin that serves this section",
    ),
    one(
        c"WebSocketMaxMessageSize",
        &(max_message_size as _),
        c"Most bytes a message from a client may have; default 33554432 (32 MiB)",
    ),
    one(
        c"MaxMessageSize",
        &(old_max_message_size as _),
        c"Deprecated name of WebSocketMaxMessageSize",
    ),
    one(
        c"WebSocketOriginCheck",
        &(origin_check as _),
        c"Which origins may open a WebSocket: Off (any), Same (default) or Trusted",
    ),
    each(
        c"WebSocketTrustedOrigin",
        &(trusted_origin as _),
        c"One or more origins that 'WebSocketOriginCheck Trusted' accepts",
    ),
    one(
        c"WebSocketPlainRequests",
        &(plain_requests as _),
        c"Requests for no WebSocket: Explain (default) what is here, or Decline",
    ),
    flag(
        c"WebSocketAllowReservedStatusCodes",
        &(allow_reserved_status_codes as _),
        c"On lets clients close with status codes reserved for the future; default Off",
    ),
    flag(
        c"WebSocketCompression",
        &(compression as _),
        c"On compresses messages with clients that offer permessage-deflate; default Off",
    ),
    one(
        c"WebSocketCompressionLevel",
        &(compression_level as _),
        c"Effort of compression, from 1 (fastest) to 9 (smallest); default 3",
    ),
    one(
        c"WebSocketCompressionThreshold",
        &(compression_threshold as _),
        c"Messages of fewer bytes are sent without compression; default 256",
    ),
    one(
        c"WebSocketCompressionContext",
        &(compression_context as _),
        c"Shared (default): no memory of earlier messages. Connection: one for each connection",
    ),
    one(
        c"WebSocketPingInterval",
        &(lifespan::ping_interval as _),
        c"How long a client may be silent before it is pinged, or Off; default 30s",
    ),
    one(
        c"WebSocketPingTimeout",
        &(lifespan::ping_timeout as _),
        c"How long a pinged client may give no sign of life; default 20s",
    ),
    one(
        c"WebSocketIdleTimeout",
        &(lifespan::idle_timeout as _),
        c"How long a connection may go without a message, or Off (default)",
    ),
    one(
        c"WebSocketMessageTimeout",
        &(lifespan::message_timeout as _),
        c"How long half a message may wait for more of it, or Off; default 60s",
    ),
    one(
        c"WebSocketMaxFragments",
        &(max_fragments as _),
        c"Most frames of a message from a client; default 16384",
    ),
    one(
        c"WebSocketSendQueue",
        &(queue::send_queue as _),
        c"Bytes that may wait for a client before senders do; default 16777216 (16 MiB)",
    ),
    one(
        c"WebSocketSlowClient",
        &(queue::slow_client as _),
        c"For a client whose queue is full: Wait (default), or Close the connection",
    ),
    one(
        c"WebSocketMaxLifetime",
        &(lifespan::max_lifetime as _),
        c"How long a connection may last, or Off (default)",
    ),
    flag(
        c"WebSocketEventDriven",
        &(event_driven as _),
        c"On (default): a WebSocket does not hold a thread, where the MPM allows that",
    ),
    flag(
        c"WebSocketDetach",
        &(detach as _),
        c"On lets httpd forget connections after the handshake (Rust plugins); default Off",
    ),
    of_configuration(one(
        c"WebSocketDrainTime",
        &(drain_time as _),
        c"How long WebSockets stay open when their process ends: a time or Unlimited; default 5min",
    )),
    of_server(one(
        c"WebSocketDrainRate",
        &(drain_rate as _),
        c"Most WebSockets that a process which ends closes in a second; default 500",
    )),
    of_configuration(one(
        c"WebSocketReserve",
        &(limits::reserve as _),
        c"Percent of the connections of httpd that are kept for other requests; default 10",
    )),
    of_server(one(
        c"WebSocketMaxConnections",
        &(limits::max_connections as _),
        c"Most WebSockets of the server or virtual host; default Off",
    )),
    of_configuration(one(
        c"WebSocketMaxConnectionsPerClient",
        &(limits::max_per_client as _),
        c"Most WebSockets of one client address; default Off",
    )),
    of_configuration(one_or_two(
        c"WebSocketHandshakeRate",
        &(limits::handshake_rate as _),
        c"Handshakes of one client address, such as 10/s, and how many at once; default Off",
    )),
    of_configuration(up_to_three(
        c"WebSocketMessageRate",
        &(limits::message_rate as _),
        c"Messages of a client on one connection, such as 10/s, how many at once, Pause or Close",
    )),
    of_server(one(
        c"WebSocketMemoryLimit",
        &(queue::memory_limit as _),
        c"Bytes that unfinished messages and queues of a process may take, or Off; default 256 MiB",
    )),
    of_configuration(one(
        c"WebSocketMaxTopics",
        &(topics::max as _),
        c"Most subscriptions to topics of one connection; default 128",
    )),
    of_server(one(
        c"WebSocketTopicSpace",
        &(topics::space as _),
        c"Name of a set of topics that servers share; default: each has its own",
    )),
    of_server(up_to_three(
        c"WebSocketTopicHistory",
        &(topics::history as _),
        c"Topic or pattern, messages to keep of each topic or Latest, and perhaps for how long",
    )),
    of_server(each(
        c"WebSocketTopicPresence",
        &(topics::presence as _),
        c"Topics or patterns whose subscribers may be listed",
    )),
    of_section(each(
        c"WebSocketPublish",
        &(topics::publish as _),
        c"Topics or patterns to which requests may publish ('SetHandler websocket-publish')",
    )),
    of_server(one(
        c"WebSocketTopicMemory",
        &(topics::memory as _),
        c"Bytes for what is published to topics and kept of them; default 67108864 (64 MiB)",
    )),
    of_server(one(
        c"WebSocketTopicStore",
        &(topics::store as _),
        c"Directory in which the histories of topics outlive a stop of httpd",
    )),
    of_server(each(
        c"WebSocketTopicBroker",
        &(topic_broker::broker as _),
        c"Address of the Redis between hosts; file: of credentials, ca: of authorities, keep:count",
    )),
    of_server(one(
        c"WebSocketTopicPartition",
        &(topic_broker::partition as _),
        c"While the broker cannot be reached: Refuse (default) messages, or keep them Local",
    )),
    of_server(two(
        c"WebSocketThreads",
        &(threads as _),
        c"Least and most threads of a child process for event-driven WebSockets",
    )),
    of_server(one(
        c"WebSocketH2MaxStreams",
        &(h2_max_streams as _),
        c"Most WebSockets of one HTTP/2 connection; default 1",
    )),
    of_server(one(
        c"WebSocketHtaccessPlugins",
        &(htaccess_plugins as _),
        c"Which plugins .htaccess files may load: Named (default) in httpd.conf, Any or None",
    )),
    END,
]);

fn handler(
    directive: &mut Directive<'_>,
    path: Argument<'_>,
    symbol: Argument<'_>,
) -> Result<(), String> {
    let plugin = library::load(directive.pool(), path.0, symbol.0)?;
    directive.config.plugin = Some(plugin);
    directive.config.section = Some(Arc::new(directive.section()));
    directive.check_at_startup(Subject::Handler);
    Ok(())
}

fn plugin_option(
    directive: &mut Directive<'_>,
    name: Argument<'_>,
    value: Argument<'_>,
) -> Result<(), String> {
    let (name, value) = (name.text(), value.text());
    match directive.config.options.get(&name) {
        Some(earlier) if earlier != value => directive.warn(&format!(
            "WebSocketPluginOption {name} '{value}' replaces '{earlier}', which the same section \
             sets above; write one of them"
        )),
        _ => {}
    }
    directive.config.options.set(&name, &value);
    directive.check_at_startup(Subject::Option);
    Ok(())
}

fn max_message_size(directive: &mut Directive<'_>, size: Argument<'_>) -> Result<(), String> {
    directive.config.max_message_size = Some(parse_size("WebSocketMaxMessageSize", &size.text())?);
    Ok(())
}

fn old_max_message_size(directive: &mut Directive<'_>, size: Argument<'_>) -> Result<(), String> {
    directive.config.max_message_size = Some(parse_size("MaxMessageSize", &size.text())?);
    directive.warn("MaxMessageSize is deprecated; use WebSocketMaxMessageSize instead");
    Ok(())
}

fn max_fragments(directive: &mut Directive<'_>, count: Argument<'_>) -> Result<(), String> {
    directive.config.max_fragments = Some(parse_max_fragments(&count.text())?);
    Ok(())
}

fn origin_check(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.config.origin_policy = Some(parse_origin_check(&word.text())?);
    Ok(())
}

fn trusted_origin(directive: &mut Directive<'_>, origin: Argument<'_>) -> Result<(), String> {
    let origin = origin.text();
    if let Some(remedy) = form_to_use(&origin) {
        directive.warn(&format!(
            "WebSocketTrustedOrigin '{origin}' is the origin of no page in a browser: {remedy}"
        ));
    }
    let origins = directive.config.trusted_origins.get_or_insert_default();
    Arc::make_mut(origins).push(origin.into());
    Ok(())
}

fn plain_requests(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.config.plain_requests = Some(parse_plain_requests(&word.text())?);
    Ok(())
}

fn allow_reserved_status_codes(config: &mut Config, on: bool) {
    config.allow_reserved_status_codes = Some(on);
}

fn compression(config: &mut Config, on: bool) {
    config.compression = Some(on);
}

fn compression_level(directive: &mut Directive<'_>, level: Argument<'_>) -> Result<(), String> {
    directive.config.compression_level = Some(parse_compression_level(&level.text())?);
    Ok(())
}

fn compression_threshold(directive: &mut Directive<'_>, size: Argument<'_>) -> Result<(), String> {
    directive.config.compression_threshold = Some(parse_compression_threshold(&size.text())?);
    Ok(())
}

fn compression_context(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.config.compression_context = Some(parse_compression_context(&word.text())?);
    Ok(())
}

fn event_driven(config: &mut Config, on: bool) {
    config.event_driven = Some(on);
}

fn detach(config: &mut Config, on: bool) {
    config.detach = Some(on);
}

fn drain_time(directive: &mut Directive<'_>, time: Argument<'_>) -> Result<(), String> {
    directive.config.drain_time = Some(parse_drain_time(&time.text())?);
    Ok(())
}

fn drain_rate(directive: &mut Directive<'_>, rate: Argument<'_>) -> Result<(), String> {
    directive.only_in_main_server("WebSocketDrainRate")?;
    directive.config.drain_rate = Some(parse_drain_rate(&rate.text())?);
    Ok(())
}

fn h2_max_streams(directive: &mut Directive<'_>, count: Argument<'_>) -> Result<(), String> {
    directive.config.h2_max_streams = Some(parse_h2_max_streams(&count.text())?);
    Ok(())
}

fn threads(
    directive: &mut Directive<'_>,
    min: Argument<'_>,
    max: Argument<'_>,
) -> Result<(), String> {
    directive.only_in_main_server("WebSocketThreads")?;
    directive.config.threads = Some(parse_threads(&min.text(), &max.text())?);
    Ok(())
}

fn htaccess_plugins(directive: &mut Directive<'_>, word: Argument<'_>) -> Result<(), String> {
    directive.only_in_main_server("WebSocketHtaccessPlugins")?;
    directive.config.htaccess_plugins = Some(parse_htaccess_plugins(&word.text())?);
    Ok(())
}
