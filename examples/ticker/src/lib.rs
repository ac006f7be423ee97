//! Sends the time to all clients, in seconds since 1970.
//!
//! The ticks come at multiples of the interval, so those of all processes of httpd are the same.
//! Each process that has clients has a clock, which is a thread, and the clock has a topic of its
//! own, to which the clients of the process subscribe. So each client gets each tick once, the
//! processes need not agree on one that has the clock, and one that is killed stops no clock but
//! its own. A client that does not keep up delays no other.
//!
//! The first client starts the thread. If `configure` started it, it would run in the process that
//! reads the configuration and not in those that serve clients. The destructor of the plugin waits
//! for the thread, so that httpd can unload the library.
//!
//! ```apache
//! <Location "/ticker">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_ticker.so ticker_init
//!     WebSocketPluginOption interval 250
//! </Location>
//! ```
#![forbid(unsafe_code)]

mod clock;

use clock::Clock;
use std::sync::{Mutex, PoisonError};
use websocket_plugin::{
    Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, Topics,
    websocket_plugin,
};

/// The plugin. Its option `interval` is in milliseconds; the default is 1000.
pub struct Ticker {
    interval: u64,
    clock: Mutex<Option<Clock>>,
}

#[websocket_plugin]
impl Plugin for Ticker {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["interval"])?;
        match options.parse("interval")?.unwrap_or(1000) {
            0 => Err(OptionError::invalid("interval", "0", "must be positive")),
            interval => Ok(Self {
                interval,
                clock: Mutex::new(None),
            }),
        }
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if clock.is_none() {
            // The process has one clock, for the clients of all virtual hosts.
            *clock = Some(Clock::start(self.interval, Topics::host()?)?);
        }
        if let Some(clock) = &*clock {
            handshake.subscribe(clock.topic())?;
        }
        Ok(())
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
