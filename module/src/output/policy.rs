//! What becomes of a message for a client that takes its messages slowly.

/// What becomes of a message that finds the queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowClient {
    /// Its sender waits.
    #[default]
    Wait,
    /// The connection is closed.
    Close,
}

/// How much may wait for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePolicy {
    /// A message is accepted while fewer bytes than this wait.
    pub limit: usize,
    /// What becomes of others.
    pub slow_client: SlowClient,
}

impl Default for QueuePolicy {
    /// 16 MiB, and senders wait, as in the C module.
    fn default() -> Self {
        Self {
            limit: 16 * 1024 * 1024,
            slow_client: SlowClient::default(),
        }
    }
}
