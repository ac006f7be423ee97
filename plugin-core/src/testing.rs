//! Test plugins without httpd.
//!
//! [`Host`] loads a plugin through its exported table, as `mod_websocket` does, and
//! [`Host::connect`] acts as a client. Callbacks run on the thread of the test. Their panics have
//! the same effects as with httpd: see [`Client::received`] and [`Host::log`].
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
mod clock;
mod metrics;
mod refusal;
mod request;
mod server;
mod topics;
mod unread;

pub use client::{Client, Received};
pub use refusal::Refusal;
pub use request::Request;

use crate::Topics;
use crate::abi::host::{self, Instance};
use crate::abi::{WebSocketPlugin, WriteServer};
use crate::export::{self, Exported};
use clock::Clock;
use server::{Log, Server};
use std::ptr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use topics::Space;

/// A loaded plugin. Dropping it unloads the plugin.
pub struct Host {
    plugin: *mut WebSocketPlugin,
    /// `mod_websocket` configures an instance; the C module has none.
    instance: Option<Instance>,
    log: Arc<Log>,
    topics: &'static Space,
    clock: Arc<Clock>,
    /// This is not the process for ticks that are for one process.
    is_another: bool,
}

// SAFETY: nothing writes to the table, and its functions may be called from any thread.
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

    /// Loads a plugin with the names and values of its options. Each host has its own instance.
    ///
    /// # Errors
    ///
    /// The text that httpd would print: the error of [`configure`](crate::Plugin::configure), or
    /// that it panicked.
    pub fn configure<P: Exported>(options: &[(&str, &str)]) -> Result<Self, String> {
        let mut host = Self::init::<P>().ok_or("the init function returned null")?;
        // SAFETY: init returned this table, and `drop` calls destroy after it has released the
        // instance.
        let plugin = unsafe { host::rust_plugin(host.plugin) }.map_err(|e| e.to_string())?;
        let plugin = plugin.ok_or("the plugin has the table of a C plugin")?;
        // SAFETY: the table is a static.
        host.instance = Some(unsafe { plugin.configure(UNATTACHED.table(), options) }?);
        Ok(host)
    }

    /// Another process of the same httpd: it shares the topics, and nothing else. It has an
    /// instance of its own of the plugin, or of another one.
    ///
    /// ```
    /// use websocket_plugin::testing::{Host, Received, Request};
    /// # use websocket_plugin::{
    /// #     Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
    /// # };
    /// # #[derive(Default)]
    /// # struct Room;
    /// # #[websocket_plugin]
    /// # impl Plugin for Room {
    /// #     fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
    /// #         handshake.subscribe("room")?;
    /// #         Ok(())
    /// #     }
    /// #     fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
    /// #         to.publish("room", m)?;
    /// #         Ok(())
    /// #     }
    /// # }
    ///
    /// let here = Host::load::<Room>();
    /// let there = here.another_process::<Room>(&[]).unwrap();
    /// let mut ann = here.connect(Request::new()).unwrap();
    /// let bob = there.connect(Request::new()).unwrap();
    /// ann.send("hello");
    /// assert_eq!(bob.received(), [Received::Text("hello".into())]);
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`configure`](Self::configure).
    pub fn another_process<P: Exported>(&self, options: &[(&str, &str)]) -> Result<Self, String> {
        let mut host = Self::configure::<P>(options)?;
        host.topics = self.topics;
        host.is_another = true;
        Ok(host)
    }

    /// Keeps messages, as `WebSocketTopicHistory` does: the last `count` of each topic that the
    /// pattern describes.
    ///
    /// # Panics
    ///
    /// This is no pattern.
    pub fn keep_history(&self, pattern: &str, count: usize) {
        self.topics.keep(pattern, count);
    }

    /// The topics of this host, to publish from outside of the plugin, and to see who has
    /// subscribed. All subscribers are shown, as with `WebSocketTopicPresence **`.
    ///
    /// [`Topics::host`], which a plugin may use in its threads, publishes to all hosts of the
    /// test's process.
    #[must_use]
    pub fn topics(&self) -> Topics {
        // SAFETY: the space is never freed.
        unsafe { Topics::new(self.topics.table()) }.expect("the table is there")
    }

    /// Loads a plugin as the C module does, without our module's additions to the tables. Log lines
    /// go to stderr, and all hosts of this kind share one instance of the plugin.
    ///
    /// Returns `None` if the plugin panicked in [`configure`](crate::Plugin::configure): httpd
    /// would not start. If `configure` returned an error, the plugin refuses every connection.
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
            topics: Space::create(),
            clock: Arc::default(),
            is_another: false,
        })
    }

    /// Connects as a client.
    ///
    /// # Errors
    ///
    /// The HTTP status with which the plugin refuses the client. [`refusal`](Self::refusal) returns
    /// the whole response.
    pub fn connect(&self, request: Request) -> Result<Client<'_>, u16> {
        self.ask(request).map_err(|refusal| refusal.status())
    }

    /// Returns the plugin's response if it refuses the client. Returns `None` if the plugin accepts
    /// the client, which then disconnects at once.
    ///
    /// ```
    /// # use websocket_plugin::testing::{Host, Request};
    /// # use websocket_plugin::{
    /// #     Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
    /// # };
    /// # #[derive(Default)]
    /// # struct Closed;
    /// # #[websocket_plugin]
    /// # impl Plugin for Closed {
    /// #   fn on_connect(&self, _: &mut Handshake<'_>) -> Result<(), Rejection> {
    /// #       let rejection = Rejection::SERVICE_UNAVAILABLE.with_header("Retry-After", "60")?;
    /// #       Err(rejection.with_body("closed"))
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
            Some(_) => WriteServer::SIZE,
            None => server::C_SIZE,
        };
        let clock = Arc::clone(&self.clock);
        let server = Server::new(size, request, log, Some(self.topics), clock);
        // SAFETY: the client keeps the table until it has called `on_disconnect`, and sends only
        // valid UTF-8 as text messages. A Rust plugin's table has all callbacks.
        let private = unsafe {
            match &self.instance {
                Some(instance) => instance.connect(server.table()),
                None => (*self.plugin)
                    .on_connect
                    .map_or(ptr::null_mut(), |f| f(server.table())),
            }
        };
        if private.is_null() {
            server.discard_events();
            return Err(server.refusal());
        }
        // SAFETY: `on_connect` has accepted this server and returned this pointer, and only the
        // client uses them.
        Ok(unsafe { Client::new(self, server, private) })
    }

    /// Moves the clock of this host, which stands still otherwise. Events that
    /// [`Sender::after`](crate::Sender::after) has posted and that are due by then are handled by
    /// the next call of [`Client::received`], [`Client::receive`] or [`Client::send`].
    ///
    /// Calls [`on_tick`](crate::Plugin::on_tick) for each tick that is due by then, and waits for
    /// those of an async plugin. The clock begins at 1970. In hosts that
    /// [`another_process`](Self::another_process) has made there are only the ticks for every
    /// process.
    pub fn advance(&self, time: Duration) {
        let before = self.clock.now();
        self.clock.advance(time);
        let ticks = self.instance.as_ref().and_then(|instance| {
            let ticks = instance.ticks()?;
            (!ticks.is_in_one_process || !self.is_another).then_some((instance, ticks))
        });
        let Some((instance, ticks)) = ticks else {
            return;
        };
        let interval = ticks.interval.as_nanos();
        let numbers = before.as_nanos() / interval + 1..=self.clock.now().as_nanos() / interval;
        for number in numbers {
            instance.on_tick(u64::try_from(number * interval).unwrap_or(u64::MAX));
        }
    }

    /// The lines that the plugin has logged about connections of this host.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.log.lines()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.instance = None;
        // SAFETY: init returned this table, and nothing made from it is left, because clients
        // borrow the host.
        unsafe {
            if let Some(destroy) = (*self.plugin).destroy {
                destroy(self.plugin);
            }
        }
    }
}

/// The lines that the plugins of this process have logged outside the callbacks of a connection.
#[must_use]
pub fn unattached_log() -> Vec<LogLine> {
    UNATTACHED_LOG.lines()
}

/// The server table for logging outside of connections. A plugin has one log target, so all hosts
/// share one table.
static UNATTACHED: LazyLock<Arc<Server>> = LazyLock::new(|| {
    Server::new(
        WriteServer::SIZE,
        Request::new(),
        Arc::clone(&UNATTACHED_LOG),
        None,
        Arc::default(),
    )
});
static UNATTACHED_LOG: LazyLock<Arc<Log>> = LazyLock::new(Arc::default);

/// A line of httpd's error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The level.
    pub level: log::Level,
    /// The text, as `[Plugin] text`.
    pub text: String,
}

/// Takes a lock, also after a panic: tests look at what is left.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
