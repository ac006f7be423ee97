//! The C ABI: the way into a plugin's callbacks, and the table a plugin calls back through.

#![allow(unsafe_code)]

mod loaded;
mod options;
mod server;
mod table;

pub use loaded::{LoadedPlugin, PluginError, Private, Source};
pub use options::PluginOptions;
pub use server::{Attachment, Server, ServerLease};
