//! A WebSocket plugin for Apache httpd. `README.md` describes how to build and use it.
#![forbid(unsafe_code)]

use std::time::Duration;
use tokio::time::sleep;
use websocket_plugin::{AsyncPlugin, Close, Message, Sender, websocket_plugin};

/// The plugin. All its connections share it.
#[derive(Default)]
struct {{type}};

#[websocket_plugin(symbol = "{{symbol}}")]
impl AsyncPlugin for {{type}} {
    async fn on_message(
        &self,
        _: &mut (),
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        // This goes to httpd's error log. What `println!` prints goes nowhere.
        log::debug!("a message of {} bytes", message.len());
        // Ask a database or another server here. No thread waits meanwhile.
        sleep(Duration::from_millis(10)).await;
        Ok(sender.send_async(message).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::{{type}};
    use websocket_plugin::testing::{Host, Received, Request};

    #[test]
    fn messages_come_back() {
        let host = Host::load::<{{type}}>();
        let mut client = host.connect(Request::new()).unwrap();
        client.send("hello");
        assert_eq!(client.receive(), Received::Text("hello".into()));
    }
}
