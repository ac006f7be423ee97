//! Sends the time to all clients, in seconds since 1970.
//!
//! One process of httpd ticks, and publishes the time to a topic. All clients have subscribed to
//! it, in whatever process they are. A client that does not keep up delays no other.
//!
//! ```apache
//! <Location "/ticker">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_ticker.so ticker_init
//!     WebSocketPluginOption interval 250
//! </Location>
//! ```
#![forbid(unsafe_code)]

use std::time::Duration;
use websocket_plugin::{
    BoxError, Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, Tick,
    Ticks, websocket_plugin,
};

/// The plugin. Its option `interval` is in milliseconds; the default is 1000.
pub struct Ticker {
    interval: Duration,
    /// Tickers with another interval have another topic.
    topic: String,
}

#[websocket_plugin]
impl Plugin for Ticker {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["interval"])?;
        match options.parse("interval")?.unwrap_or(1000) {
            0 => Err(OptionError::invalid("interval", "0", "must be positive")),
            interval => Ok(Self {
                interval: Duration::from_millis(interval),
                topic: format!("ticker/{interval}"),
            }),
        }
    }

    fn ticks(&self) -> Option<Ticks> {
        Some(Ticks::in_one_process(self.interval))
    }

    fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        let seconds = tick.since_1970().as_secs_f64();
        tick.topics.publish(&self.topic, format!("{seconds:.3}"))?;
        Ok(())
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        handshake.subscribe(self.topic.as_str())?;
        Ok(())
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
