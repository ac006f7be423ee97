//! Shared code of the `cargo xtask` commands and the module's integration tests: finds Apache
//! httpd, writes a server root, runs a server in it, measures the system resources that it uses,
//! and compiles C plugins.
//!
//! ```no_run
//! use xtask::server_root::{Mpm, ServerRoot};
//!
//! # fn main() -> anyhow::Result<()> {
//! let source = "examples/c/echo.c";
//! let plugin = xtask::c_plugin::compile(source, "target/plugins", "plugin-core/include")?;
//! let httpd = ServerRoot::temporary()?
//!     .mpm(Mpm::Worker)
//!     .load_module("websocket_module", xtask::workspace::module_library()?)
//!     .config(format!(
//!         "<Location /echo>\nSetHandler websocket-handler\n\
//!          WebSocketHandler {} echo_init\n</Location>",
//!         plugin.display(),
//!     ))
//!     .start()?;
//! std::net::TcpStream::connect(httpd.address())?;
//! httpd.graceful()?; // returns once httpd serves the new configuration
//! # Ok(())
//! # } // dropping `httpd` stops it and removes the server root
//! ```

pub mod apache;
pub mod autobahn;
pub mod book;
pub mod broker;
pub mod browser;
pub mod c_plugin;
pub mod cluster;
pub mod command;
pub mod debian_apache;
pub mod demo;
pub mod httpd;
pub mod link;
pub mod openmetrics;
pub mod plugin_source;
pub mod port;
pub mod process;
pub mod python;
pub mod server_root;
pub mod soak;
pub mod workspace;
