//! Asks a Redis for each message: the message is a key, and the answer is its value. While the
//! Redis has not answered, no thread waits.
//!
//! ```apache
//! <Location "/lookup">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_lookup.so lookup_init
//!     WebSocketPluginOption redis redis://127.0.0.1:6379
//! </Location>
//! ```
#![forbid(unsafe_code)]

use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Client, RedisError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use websocket_plugin::{
    AsyncPlugin, BoxError, Close, CloseCode, Message, Options, Sender, websocket_plugin,
};

/// How long the Redis may take for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The plugin.
pub struct Lookup {
    client: Client,
    /// All connections share this one, which connects again by itself. The first message makes it,
    /// because there is no runtime before.
    connection: OnceCell<ConnectionManager>,
}

#[websocket_plugin]
impl AsyncPlugin for Lookup {
    fn configure(options: &Options) -> Result<Self, BoxError> {
        options.reject_unknown(&["redis"])?;
        let address = options.get("redis").unwrap_or("redis://127.0.0.1:6379");
        Ok(Self {
            client: Client::open(address)?,
            connection: OnceCell::new(),
        })
    }

    async fn on_message(
        &self,
        _: &mut (),
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let Message::Text(key) = message else {
            return Err(Close::new(CloseCode::UNSUPPORTED_DATA, "keys are texts"));
        };
        // An error closes the connection with 1011, and the log tells why.
        let value = timeout(PATIENCE, self.value_of(key)).await??;
        Ok(sender
            .send_async(value.as_deref().unwrap_or("(none)"))
            .await?)
    }
}

impl Lookup {
    async fn value_of(&self, key: &str) -> Result<Option<String>, RedisError> {
        let connect = || self.client.get_connection_manager();
        let mut connection = self.connection.get_or_try_init(connect).await?.clone();
        connection.get(key).await
    }
}

#[cfg(test)]
mod tests;
