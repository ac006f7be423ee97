//! The C ABI: calls into a plugin's callbacks, and the table through which a plugin calls back.

#![allow(unsafe_code)]

mod access;
mod arguments;
mod attachment;
mod composing;
mod inspection;
mod lease;
mod loaded;
mod mailbox;
mod metrics;
mod options;
mod probe;
mod refusing;
mod sequence;
mod server;
mod table;
mod threads;
mod ticks;
mod topic_table;
mod topics;

pub use access::TopicAccess;
pub use attachment::Attachment;
pub use lease::ServerLease;
pub use loaded::{LoadedPlugin, Private, Source};
pub use options::PluginOptions;
pub use probe::is_executable;
pub use threads::{end_handshakes, end_threads};
pub use ticks::{begin as begin_ticks, disable as disable_ticks, stop as stop_ticks};
