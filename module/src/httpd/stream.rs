//! The bytes of what has left HTTP but is still httpd's: a connection, or a stream of HTTP/2.

mod bottom;
mod brigades;
mod connection;
mod filtered;
mod http2;

pub use super::error::check;
pub use bottom::register as register_filters;
pub use connection::{ConnectionStream, Descriptors};
pub use http2::Http2Stream;
pub use http2::input_of;
