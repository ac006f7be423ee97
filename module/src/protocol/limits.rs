//! The limits of what a client may send.

/// Limits for the client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest payload in bytes, of a control frame, and of a message with all fragments, after
    /// inflating.
    pub max_message_size: u64,
    /// The most frames of a message, those without payload included.
    pub max_fragments: u32,
    /// Whether close frames may contain the status codes that are reserved for the future: 1004 and
    /// 1016 to 2999.
    pub allow_reserved_status_codes: bool,
}
