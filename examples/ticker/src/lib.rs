//! One thread sends the seconds since it started to all clients.
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
use std::time::Duration;
use websocket_plugin::{
    Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, websocket_plugin,
};

/// The plugin. Its option `interval` is in milliseconds; the default is 1000.
pub struct Ticker {
    clock: Clock,
}

#[websocket_plugin]
impl Plugin for Ticker {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        options.reject_unknown(&["interval"])?;
        match options.parse("interval")?.unwrap_or(1000) {
            0 => Err(OptionError::invalid("interval", "0", "must be positive")),
            milliseconds => Ok(Self {
                clock: Clock::new(Duration::from_millis(milliseconds)),
            }),
        }
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        Ok(self.clock.add(handshake.sender())?)
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Ticker;
    use websocket_plugin::testing::{Client, Host, Received, Request};

    fn tick(client: &Client<'_>) -> f64 {
        match client.receive() {
            Received::Text(seconds) => seconds.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_clients_get_the_same_ticks() {
        let host = Host::configure::<Ticker>(&[("interval", "5")]).unwrap();
        let clients = [(); 3].map(|()| host.connect(Request::new()).unwrap());
        let [first, second, third] = clients.each_ref().map(tick);
        assert!(first <= second && second <= third);
        let [leaving, staying, _] = clients;
        leaving.disconnect();
        let before = tick(&staying);
        assert!(tick(&staying) > before);
    }

    #[test]
    fn the_interval_is_a_positive_number() {
        for interval in ["0", "-1", "soon"] {
            let error = Host::configure::<Ticker>(&[("interval", interval)])
                .err()
                .unwrap();
            assert!(
                error.starts_with(&format!("option `interval`: `{interval}`: ")),
                "{error}"
            );
        }
    }
}
