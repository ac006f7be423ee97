//! The entry: the hooks that httpd calls, and the directives that an administrator sets.
//!
//! Few files here call C. Those that do say so with `allow(unsafe_code)`.

mod admission;
mod capacity;
mod config;
mod directives;
mod http2;
mod library;
mod origin;
mod plain;
mod publish;
mod record;
mod redirects;
mod refused;
mod shutdown;
mod startup;
mod status;
mod topics;
mod upgrade;
