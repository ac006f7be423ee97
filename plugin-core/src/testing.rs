//! A host in a process of its own: tests for plugins, without httpd.
//!
//! [`Host`] loads a plugin through its exported table, as `mod_websocket` would, [`Host::connect`] plays
//! a client. Callbacks run on the thread of the test, panics included: they end up in [`Client::received`]
//! and [`Host::log`] just as they would with httpd.
//!
//! ```
//! use websocket_plugin::testing::{Host, Received, Request};
//! use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};
//!
//! #[derive(Default)]
//! struct Echo;
//!
//! #[websocket_plugin]
//! impl Plugin for Echo {
//!     fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
//!         Ok(to.send(message)?)
//!     }
//! }
//!
//! let host = Host::load::<Echo>();
//! let mut client = host.connect(Request::new()).unwrap();
//! client.send("hello");
//! assert_eq!(client.received(), [Received::Text("hello".into())]);
//! ```

#![allow(unsafe_code)]

mod client;
mod refusal;
mod request;
mod server;

pub use client::{Client, Received};
pub use refusal::Refusal;
pub use request::Request;

use crate::abi::host::{self, Instance};
use crate::abi::{ServerTable, WebSocketPlugin};
use crate::export::{self, Exported};
use server::{Log, Server};
use std::ptr;
use std::sync::{Arc, LazyLock};

/// A loaded plugin. It is unloaded when this is dropped.
pub struct Host {
    plugin: *mut WebSocketPlugin,
    /// What `mod_websocket` has; the C module has none.
    instance: Option<Instance>,
    log: Arc<Log>,
}

// SAFETY: the table is never written to, and its functions may be called from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Loads a plugin without options.
    ///
    /// # Panics
    ///
    /// The plugin cannot be configured.
    #[must_use]
    pub fn load<P: Exported>() -> Self {
        Self::configure::<P>(&[]).unwrap_or_else(|why| panic!("{}: {why}", P::NAME))
    }

    /// Loads a plugin with names and values of options. Each host has an instance of its own.
    ///
    /// # Errors
    ///
    /// What httpd would print: the error of [`configure`](crate::Plugin::configure), or that it panicked.
    pub fn configure<P: Exported>(options: &[(&str, &str)]) -> Result<Self, String> {
        let mut host = Self::init::<P>().ok_or("the init function returned null")?;
        // SAFETY: this is what init returned, and `drop` calls destroy after the instance is released.
        let plugin = unsafe { host::rust_plugin(host.plugin) }.map_err(|e| e.to_string())?;
        let plugin = plugin.ok_or("the plugin's table is that of a C plugin")?;
        // SAFETY: the table is a static.
        host.instance = Some(unsafe { plugin.configure(UNATTACHED.table(), options) }?);
        Ok(host)
    }

    /// Loads a plugin as the C module would: what that does not have is missing. Log lines go to
    /// stderr, and all hosts of this kind share one instance of the plugin.
    ///
    /// `None` if the plugin panicked in [`configure`](crate::Plugin::configure): httpd would not start.
    #[must_use]
    pub fn c_module<P: Exported>() -> Option<Self> {
        Self::init::<P>()
    }

    fn init<P: Exported>() -> Option<Self> {
        let plugin = export::init::<P>();
        (!plugin.is_null()).then(|| Self {
            plugin,
            instance: None,
            log: Arc::default(),
        })
    }

    /// A client connects.
    ///
    /// # Errors
    ///
    /// The HTTP status with which the plugin refuses it; [`refusal`](Self::refusal) knows more.
    pub fn connect(&self, request: Request) -> Result<Client<'_>, u16> {
        self.ask(request).map_err(|refusal| refusal.status())
    }

    /// How the plugin refuses a client that wants to connect; `None` if it accepts it, which then leaves
    /// at once.
    ///
    /// ```
    /// # use websocket_plugin::testing::{Host, Request};
    /// # use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};
    /// # #[derive(Default)]
    /// # struct Closed;
    /// # #[websocket_plugin]
    /// # impl Plugin for Closed {
    /// #   fn on_connect(&self, _: &mut Handshake<'_>) -> Result<(), Rejection> {
    /// #       Err(Rejection::SERVICE_UNAVAILABLE.with_header("Retry-After", "60")?.with_body("closed"))
    /// #   }
    /// #   fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
    /// #       Ok(())
    /// #   }
    /// # }
    /// let refusal = Host::load::<Closed>().refusal(Request::new()).unwrap();
    /// assert_eq!(refusal.status(), 503);
    /// assert_eq!(refusal.header("Retry-After"), Some("60"));
    /// assert_eq!(refusal.body(), Some(&b"closed"[..]));
    /// ```
    #[must_use]
    pub fn refusal(&self, request: Request) -> Option<Refusal> {
        self.ask(request).err()
    }

    fn ask(&self, request: Request) -> Result<Client<'_>, Refusal> {
        let log = Arc::clone(&self.log);
        let size = match self.instance {
            Some(_) => ServerTable::SIZE,
            None => server::C_SIZE,
        };
        let server = Server::new(size, request, log);
        // SAFETY: the client keeps the table until it has called `on_disconnect`, and takes only text
        // for text messages. A Rust plugin's table has all callbacks.
        let private = unsafe {
            match &self.instance {
                Some(instance) => instance.connect(server.table()),
                None => (*self.plugin)
                    .on_connect
                    .map_or(ptr::null_mut(), |f| f(server.table())),
            }
        };
        if private.is_null() {
            return Err(server.refusal());
        }
        // SAFETY: `on_connect` has accepted this server and returned this pointer, which are used for
        // nothing else.
        Ok(unsafe { Client::new(self, server, private) })
    }

    /// What the plugin has written to the log about connections of this host.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.log.lines()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.instance = None;
        // SAFETY: init has returned this table, and nothing that was made with it is left: clients
        // borrow the host.
        unsafe {
            if let Some(destroy) = (*self.plugin).destroy {
                destroy(self.plugin);
            }
        }
    }
}

/// What the plugins of this process have written to the log outside the callbacks of any connection.
#[must_use]
pub fn unattached_log() -> Vec<LogLine> {
    UNATTACHED_LOG.lines()
}

/// The table for that. There is one, as a plugin has one, whatever the number of hosts.
static UNATTACHED: LazyLock<Arc<Server>> = LazyLock::new(|| {
    Server::new(
        ServerTable::SIZE,
        Request::new(),
        Arc::clone(&UNATTACHED_LOG),
    )
});
static UNATTACHED_LOG: LazyLock<Arc<Log>> = LazyLock::new(Arc::default);

/// A line of httpd's error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The level.
    pub level: log::Level,
    /// `[Plugin] text`.
    pub text: String,
}
