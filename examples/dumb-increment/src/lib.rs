//! A number that increases twenty times a second, until the client sends `reset` and a newline. The
//! client must offer the subprotocol `dumb-increment-protocol`.
//!
//! Each connection has a thread, which ends with the connection. The destructor waits for the
//! thread, because httpd may unload the library once the plugin is gone.
//!
//! ```apache
//! <Location "/dumb-increment">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_dumb_increment.so dumb_increment_init
//! </Location>
//! ```
#![forbid(unsafe_code)]

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};

/// The plugin.
#[derive(Default)]
pub struct DumbIncrement;

/// The connection's end of its thread.
pub struct Counter {
    /// A message resets the count. Dropping the channel ends the thread.
    reset: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[websocket_plugin(subprotocols("dumb-increment-protocol"))]
impl Plugin for DumbIncrement {
    type Connection = Counter;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Counter, Rejection> {
        handshake.subprotocol().ok_or(Rejection::FORBIDDEN)?;
        let client = handshake.sender();
        let (reset, resets) = mpsc::channel();
        let thread = thread::Builder::new().spawn(move || count(&client, &resets))?;
        Ok(Counter {
            reset: Some(reset),
            thread: Some(thread),
        })
    }

    fn on_message(&self, counter: &mut Counter, _: &Sender, m: Message<'_>) -> Result<(), Close> {
        if let (Message::Text("reset\n"), Some(reset)) = (m, &counter.reset) {
            reset.send(())?;
        }
        Ok(())
    }
}

fn count(client: &Sender, resets: &Receiver<()>) {
    let mut number = 0_u64;
    while client.send(number.to_string()).is_ok() {
        number = match resets.recv_timeout(Duration::from_millis(50)) {
            Err(RecvTimeoutError::Timeout) => number + 1,
            Ok(()) => 0,
            Err(RecvTimeoutError::Disconnected) => return,
        };
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.reset = None;
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic hook has already written that to stderr.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DumbIncrement;
    use websocket_plugin::testing::{Client, Host, Received, Request};

    fn request() -> Request {
        Request::new().subprotocols(&["x", "dumb-increment-protocol"])
    }

    fn number(client: &Client<'_>) -> u64 {
        match client.receive() {
            Received::Text(number) => number.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_counts_until_it_is_reset() {
        let host = Host::load::<DumbIncrement>();
        let mut client = host.connect(request()).unwrap();
        assert_eq!(
            client.subprotocol().as_deref(),
            Some("dumb-increment-protocol")
        );
        for expected in 0..3 {
            assert_eq!(number(&client), expected);
        }
        client.send("reset\n");
        while number(&client) != 0 {}
        assert_eq!(number(&client), 1);
        client.disconnect();
        assert_eq!(host.log(), []);
    }

    #[test]
    fn it_works_in_the_c_module() {
        let host = Host::c_module::<DumbIncrement>().unwrap();
        let client = host.connect(request()).unwrap();
        assert_eq!(number(&client), 0);
        assert_eq!(number(&client), 1);
    }

    #[test]
    fn the_subprotocol_must_be_offered() {
        let host = Host::load::<DumbIncrement>();
        assert_eq!(host.connect(Request::new()).err(), Some(403));
    }
}
