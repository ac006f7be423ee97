//! What the `cargo xtask` commands and the module's integration tests share: finding Apache httpd,
//! writing a server root, running a server in it, looking at what it
//! takes of the system, and compiling C plugins.
//!
//! ```no_run
//! use xtask::server_root::{Mpm, ServerRoot};
//!
//! # fn main() -> anyhow::Result<()> {
//! let plugin = xtask::c_plugin::compile("examples/c/echo.c", "target/plugins", "plugin-core/include")?;
//! let httpd = ServerRoot::temporary()?
//!     .mpm(Mpm::Worker)
//!     .load_module("websocket_module", xtask::workspace::module_library()?)
//!     .config(format!(
//!         "<Location /echo>\nSetHandler websocket-handler\nWebSocketHandler {} echo_init\n</Location>",
//!         plugin.display(),
//!     ))
//!     .start()?;
//! std::net::TcpStream::connect(httpd.address())?;
//! httpd.graceful()?; // returns once the new configuration is being served
//! # Ok(())
//! # } // dropping `httpd` stops it and removes the server root
//! ```

pub mod apache;
pub mod autobahn;
pub mod browser;
pub mod c_plugin;
pub mod command;
pub mod demo;
pub mod httpd;
pub mod port;
pub mod process;
pub mod python;
pub mod server_root;
pub mod soak;
pub mod workspace;
