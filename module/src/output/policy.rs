//! Limits of a send queue, and what happens when it is full.

/// What happens when a message finds the send queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowClient {
    /// The sender waits.
    #[default]
    Wait,
    /// The connection is closed.
    Close,
}

/// The limit of a connection's send queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePolicy {
    /// The queue accepts a message while fewer bytes than this wait.
    pub limit: usize,
    /// What happens when the queue is full.
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
