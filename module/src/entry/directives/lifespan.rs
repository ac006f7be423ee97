//! The directives about timeouts and the lifetime of connections.

use std::time::Duration;

use super::command::{Argument, Directive};
use super::times::{parse_time, parse_time_or};

/// The shortest time that these directives accept. Checking more often would cost more than it is
/// worth.
const LEAST: Duration = Duration::from_millis(100);

pub(super) fn ping_interval(
    directive: &mut Directive<'_>,
    time: Argument<'_>,
) -> Result<(), String> {
    let time = parse_time_or("Off", "WebSocketPingInterval", LEAST, &time.text())?;
    directive.config.lifespan.ping_interval = Some(time);
    Ok(())
}

pub(super) fn ping_timeout(
    directive: &mut Directive<'_>,
    time: Argument<'_>,
) -> Result<(), String> {
    let time = parse_time("WebSocketPingTimeout", LEAST, &time.text())?;
    directive.config.lifespan.ping_timeout = Some(time);
    Ok(())
}

pub(super) fn idle_timeout(
    directive: &mut Directive<'_>,
    time: Argument<'_>,
) -> Result<(), String> {
    let time = parse_time_or("Off", "WebSocketIdleTimeout", LEAST, &time.text())?;
    directive.config.lifespan.idle_timeout = Some(time);
    Ok(())
}

pub(super) fn message_timeout(
    directive: &mut Directive<'_>,
    time: Argument<'_>,
) -> Result<(), String> {
    let time = parse_time_or("Off", "WebSocketMessageTimeout", LEAST, &time.text())?;
    directive.config.lifespan.message_timeout = Some(time);
    Ok(())
}

pub(super) fn max_lifetime(
    directive: &mut Directive<'_>,
    time: Argument<'_>,
) -> Result<(), String> {
    let time = parse_time_or("Off", "WebSocketMaxLifetime", LEAST, &time.text())?;
    directive.config.lifespan.max_lifetime = Some(time);
    Ok(())
}
