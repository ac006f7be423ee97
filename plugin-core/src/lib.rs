//! Write WebSocket plugins for Apache httpd in Rust: implement [`Plugin`] and add an attribute.
//!
//! # A plugin
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! websocket-plugin = { path = "..." }
//! ```
//!
//! ```
//! #![forbid(unsafe_code)]
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
//! ```
//!
//! `cargo build --release` builds `libecho.so` if the package is called `echo`. In httpd's
//! configuration, name the library and the function that [`#[websocket_plugin]`](websocket_plugin)
//! exports:
//!
//! ```apache
//! <Location "/echo">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libecho.so echo_init
//! </Location>
//! ```
//!
//! # Connections
//!
//! If a plugin needs state for each connection, it declares the type as [`Plugin::Connection`].
//! [`on_connect`](Plugin::on_connect) makes the state, or refuses the client. Every message comes
//! with a reference to the state. [`on_disconnect`](Plugin::on_disconnect) gets it back, with the
//! reason why the connection ended ([`Disconnect`]).
//!
//! The plugin itself holds the state that all connections share. It must be behind locks, because
//! callbacks of different connections run in parallel:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//! use websocket_plugin::{
//!     Close, CloseCode, Disconnect, Handshake, Message, Plugin, Rejection, SendError, Sender,
//!     websocket_plugin,
//! };
//!
//! #[derive(Default)]
//! struct Chat {
//!     next_id: AtomicU64,
//!     room: Mutex<HashMap<u64, Sender>>,
//! }
//!
//! struct Member {
//!     id: u64,
//! }
//!
//! #[websocket_plugin]
//! impl Plugin for Chat {
//!     type Connection = Member;
//!
//!     fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Member, Rejection> {
//!         if handshake.header("Cookie").is_none() {
//!             return Err(Rejection::FORBIDDEN);
//!         }
//!         handshake.negotiate_subprotocol(&["chat.v2", "chat.v1"]).ok_or(Rejection::BAD_REQUEST)?;
//!         let id = self.next_id.fetch_add(1, Relaxed);
//!         self.room.lock().unwrap().insert(id, handshake.sender());
//!         Ok(Member { id })
//!     }
//!
//!     fn on_message(&self, member: &mut Member, _: &Sender, m: Message<'_>) -> Result<(), Close> {
//!         let Message::Text(line) = m else {
//!             return Err(Close::new(CloseCode::UNSUPPORTED_DATA, "text only"));
//!         };
//!         let line = format!("{}: {line}", member.id);
//!         // Release the lock before sending, so that members can join and leave meanwhile.
//!         let members: Vec<Sender> = self.room.lock().unwrap().values().cloned().collect();
//!         for member in members {
//!             // `send` would wait for a client that does not keep up, and delay all others.
//!             if let Err(SendError::Full) = member.try_send(&line) {
//!                 let too_slow = Close::new(CloseCode::TRY_AGAIN_LATER, "you do not keep up");
//!                 let _ = member.close(too_slow);
//!             }
//!         }
//!         Ok(())
//!     }
//!
//!     fn on_disconnect(&self, member: Member, _: Disconnect) {
//!         self.room.lock().unwrap().remove(&member.id);
//!     }
//! }
//!
//! // Test plugins without httpd:
//! use websocket_plugin::testing::{Host, Received, Request};
//!
//! let host = Host::load::<Chat>();
//! assert_eq!(host.connect(Request::new()).err(), Some(403));
//! let request = Request::new().header("Cookie", "a=b").subprotocols(&["chat.v1"]);
//! let mut client = host.connect(request).unwrap();
//! client.send("hello");
//! assert_eq!(client.received(), [Received::Text("0: hello".into())]);
//! ```
//!
//! # Sending at any time
//!
//! A [`Sender`] may be cloned, kept and used from any thread. When its connection is gone, it
//! returns an error. [`send`](Sender::send) waits while megabytes are queued for the client.
//! [`try_send`](Sender::try_send) never waits; use it to send to many clients.
//!
//! httpd unloads the library after it has dropped your plugin, so all threads of the plugin must
//! have ended by then. Keep their handles and join them in `Drop`. Start threads when the first
//! client connects, not in [`configure`](Plugin::configure): httpd calls `configure` before it
//! forks the processes that serve clients, and threads do not survive a fork.
//!
//! # Async plugins
//!
//! A plugin that waits for a database or another server is easier to write with `async`: with the
//! feature `tokio` it implements [`AsyncPlugin`] instead of [`Plugin`], and its callbacks are
//! `async fn`. While one waits (other than `on_connect`), it holds no thread, and the messages that
//! follow wait for it, in order. When the client closes the connection, what it has sent before is
//! still handled, for up to five seconds; if the connection is lost, the callback is cancelled.
//! [`AsyncPlugin`] has an example, and says what runs where. What each callback may do:
//!
//! | Callback | Thread | May it block? |
//! |---|---|---|
//! | `configure` | httpd's main thread, before the fork | yes, the start waits |
//! | `on_connect` | the MPM's, which has read the request | yes, it holds that thread |
//! | `on_message`, `on_part`, `on_event`, `on_drain`, `on_disconnect` | an event loop's, or the MPM's | yes, others go on |
//! | `on_tick` | one of its own for each instance of the plugin | yes, the next tick waits |
//! | async `on_connect` | one of the module's pool on the event MPM, otherwise the MPM's or mod_http2's, also while it waits | it may `.await`, and holds that thread |
//! | async `on_tick` | that of the ticks, also while it waits | yes, the next tick waits |
//! | other async callbacks | as above until they wait, then the runtime's | no |
//!
//! [`AsyncPlugin`]: trait.AsyncPlugin.html
//!
//! # Events and flow control
//!
//! Callbacks of one connection never overlap. What another thread has for a connection it
//! [posts](Sender::post) as an event, and what has to happen later is posted with
//! [`Sender::after`]: both come with the connection's state, so it needs no lock. A plugin that
//! cannot take more messages for a while [pauses](Sender::pause) the client, which then has to
//! wait; a plugin that sends more than its client takes sends on in `on_drain`. What a plugin does
//! at regular times without a connection, it does in [`on_tick`](Plugin::on_tick).
//!
//! # Long messages
//!
//! httpd delivers a message when all of it has arrived, regardless of how many fragments the client
//! used (RFC 6455, section 5.4). `WebSocketMaxMessageSize` limits the length of a message from a
//! client; the default is 32 MiB. Each message that you [`send`](Sender::send) goes out as one
//! frame of any length.
//!
//! A plugin that has [`on_part`](Plugin::on_part) instead of `on_message` gets each message in
//! parts, as it arrives. So an upload of any length takes little memory. While the callback runs,
//! or the plugin has [paused](Sender::pause) the client, nothing more is read from the client. This
//! plugin counts the bytes and lines of a text:
//!
//! ```
//! use websocket_plugin::{
//!     Close, Handshake, Part, Plugin, Rejection, Sender, websocket_plugin,
//! };
//!
//! #[derive(Default)]
//! struct Count;
//!
//! #[derive(Default)]
//! struct Upload {
//!     bytes: u64,
//!     lines: u64,
//! }
//!
//! #[websocket_plugin]
//! impl Plugin for Count {
//!     type Connection = Upload;
//!
//!     fn on_connect(&self, _: &mut Handshake<'_>) -> Result<Upload, Rejection> {
//!         Ok(Upload::default())
//!     }
//!
//!     fn on_part(&self, upload: &mut Upload, to: &Sender, part: Part<'_>) -> Result<(), Close> {
//!         upload.bytes += part.bytes.len() as u64;
//!         upload.lines += part.bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
//!         if part.is_last {
//!             let Upload { bytes, lines } = std::mem::take(upload);
//!             to.send(format!("{bytes} bytes, {lines} lines"))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! use websocket_plugin::testing::{Host, Received, Request};
//! use websocket_plugin::MessageKind::Text;
//!
//! let host = Host::load::<Count>();
//! let mut client = host.connect(Request::new()).unwrap();
//! client.send_part(Part { kind: Text, bytes: b"one\ntw", is_last: false });
//! client.send_part(Part { kind: Text, bytes: b"o\n", is_last: true });
//! assert_eq!(client.received(), [Received::Text("8 bytes, 2 lines".into())]);
//! ```
//!
//! The other way round, [`Sender::begin`] gives a [`MessageWriter`], to which a plugin writes a
//! message while the client gets it. It waits while the queue is full, so it keeps to the client's
//! pace. This sends a file of any length:
//!
//! ```no_run
//! # use websocket_plugin::{Close, MessageKind, Sender};
//! fn send_file(to: &Sender, path: &str) -> Result<(), Close> {
//!     let mut message = to.begin(MessageKind::Binary)?;
//!     std::io::copy(&mut std::fs::File::open(path)?, &mut message)?;
//!     Ok(message.finish()?)
//! }
//! ```
//!
//! # When something goes wrong
//!
//! In `on_connect` and `on_message`, `?` works on any error, on [`BoxError`] and on
//! `anyhow::Error`; no feature of this crate is needed for that. In `on_connect` it refuses the
//! client with 500, in `on_message` it closes the connection with 1011. The error and its sources
//! go to httpd's error log. A message that is not the JSON that `Message::json` expects closes the
//! connection with 1007 and the reason, and nothing is logged. To tell the client more, return
//! your own [`Rejection`] or [`Close`]. A panic has the same effect as an error and harms no other
//! connection; see [`Plugin`](Plugin#panics).
//!
//! ```
//! # use websocket_plugin::{Close, CloseCode, Message, Plugin, Sender, websocket_plugin};
//! use anyhow::Context;
//!
//! #[derive(Default)]
//! struct Sum;
//!
//! impl Sum {
//!     fn add(&self, line: &str) -> anyhow::Result<i64> {
//!         let number =
//!             |word: &str| word.parse::<i64>().with_context(|| format!("adding {word:?}"));
//!         line.split(' ').map(number).sum()
//!     }
//! }
//!
//! #[websocket_plugin]
//! impl Plugin for Sum {
//!     fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
//!         let Message::Text(line) = message else {
//!             return Err(Close::new(CloseCode::UNSUPPORTED_DATA, "text only")); // for the client
//!         };
//!         let sum = self.add(line)?; // for the log
//!         Ok(to.send(&sum.to_string())?)
//!     }
//! }
//!
//! # use websocket_plugin::testing::{Host, Request};
//! let host = Host::load::<Sum>();
//! host.connect(Request::new()).unwrap().send("1 two");
//! let line = "[Sum] on_message: adding \"two\": invalid digit found in string";
//! assert_eq!(host.log()[0].text, line);
//! ```
//!
//! # Options
//!
//! [`Plugin::configure`] gets the `WebSocketPluginOption NAME VALUE` lines:
//!
//! ```
//! # use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};
//! use websocket_plugin::{OptionError, Options};
//!
//! struct Greeter {
//!     greeting: String,
//! }
//!
//! #[websocket_plugin]
//! impl Plugin for Greeter {
//!     fn configure(options: &Options) -> Result<Self, OptionError> {
//!         options.reject_unknown(&["greeting"])?;
//!         Ok(Self { greeting: options.require("greeting")?.to_owned() })
//!     }
//! #
//! #   fn on_message(&self, _: &mut (), sender: &Sender, _: Message<'_>) -> Result<(), Close> {
//! #       Ok(sender.send(&self.greeting)?)
//! #   }
//! }
//! # use websocket_plugin::testing::Host;
//! # assert!(Host::configure::<Greeter>(&[("greeting", "hello")]).is_ok());
//! # assert!(Host::configure::<Greeter>(&[("greting", "hello")]).is_err());
//! ```
//!
//! # Logging
//!
//! The macros of the `log` crate write to httpd's error log, at the levels `error`, `warn`, `info`,
//! `debug` and `trace1`. Each line has the plugin's name, and in a callback also the client's
//! address. `LogLevel` selects the levels that httpd logs. If the plugin installs its own logger,
//! that logger stays.
//!
//! # Metrics
//!
//! A [`Counter`], a [`Gauge`] or a [`Histogram`] is a `static`. The status page (`SetHandler
//! websocket-status`), its JSON and its OpenMetrics show it under the plugin's name, as the sum
//! over all processes of httpd:
//!
//! ```
//! use websocket_plugin::{Counter, Gauge};
//!
//! static MOVES: Counter = Counter::new("moves", "Moves that were made");
//! static PLAYERS: Gauge = Gauge::new("players", "Players in all rooms");
//!
//! fn moved(room: &str) {
//!     MOVES.with(&[("room", room)]).inc();
//! }
//! ```
//!
//! # JSON
//!
//! With the feature `json`, [`Message::json`](Message#method.json) and
//! [`Sender::send_json`](Sender#method.send_json) read and write any type that `serde` supports.
//!
//! # The C module
//!
//! The C module of the same name can load these plugins, too. It offers less:
//!
//! * Some methods of [`Handshake`] return `None`.
//! * There are no options.
//! * Every rejection becomes 403.
//! * Log lines go to stderr.
//! * Metrics count nothing.
//!
//! To write plugins in C, use `websocket_plugin.h`; [`abi`] describes it in Rust.
//!
//! **Do not send in `on_connect` there.** The C module holds the lock of the connection until its
//! response has gone out, and `send` and `close` wait for that lock. A plugin that calls one of
//! them for the new connection from `on_connect` deadlocks, and the client never gets a response.
//! Send from the first [`on_message`](Plugin::on_message) instead, or from a thread to which
//! `on_connect` hands the [`Sender`]; `send` then waits until the response is out. (`mod_websocket`
//! in Rust sends such messages right after the response.)
//!
//! `send` to another connection returns there only when that connection's own thread has written
//! the message. So two callbacks that send to each other's connections deadlock, too. Use a thread
//! of your own to send to other connections.

#![deny(unsafe_code)]

// The attribute generates absolute paths, which must resolve in this crate's own tests, too.
#[cfg(test)]
extern crate self as websocket_plugin;

pub mod abi;
#[cfg(feature = "tokio")]
mod async_plugin;
mod close;
mod disconnect;
#[doc(hidden)]
pub mod export;
mod gone;
mod handshake;
mod header;
#[cfg(feature = "json")]
mod json;
mod message;
mod metrics;
mod options;
mod part;
mod plugin;
mod rejection;
mod sender;
mod sync;
pub mod testing;
mod ticks;
mod topics;

#[cfg(feature = "tokio")]
pub use async_plugin::AsyncPlugin;
pub use close::{Close, CloseCode, IntoClose};
pub use disconnect::{ClosedBy, Disconnect};
pub use handshake::{Handshake, Headers};
pub use header::InvalidHeader;
#[cfg(feature = "json")]
pub use json::{InvalidJson, SendJsonError};
pub use message::{AsMessage, Message};
pub use metrics::{Counter, CounterSeries, Gauge, GaugeSeries, Histogram, HistogramSeries};
pub use options::{OptionError, Options};
pub use part::{MessageKind, Part};
pub use plugin::{BoxError, NoEvents, Plugin};
pub use rejection::Rejection;
pub use sender::{MessageWriter, PostError, SendError, Sender};
pub use ticks::{Tick, Ticks};
pub use topics::{
    Filter as TopicFilter, HistoryMessage, InvalidTopic, Member, Position, Published, Recovery,
    Subscribed, Subscription, TopicError, Topics,
};

/// Exports a plugin, and supplies the items that its `impl` leaves out.
///
/// Put it on `impl Plugin for YourType`, or on `impl AsyncPlugin for YourType`:
///
/// ```
/// # use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};
/// # #[derive(Default)]
/// # struct Chat;
/// #[websocket_plugin(symbol = "chat_init", subprotocols("chat.v2", "chat.v1"))]
/// impl Plugin for Chat {
///     // ...
/// #   fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
/// #       Ok(())
/// #   }
/// }
/// ```
///
/// * `symbol` is the name of the exported function, for `WebSocketHandler`. The default is the
///   type's name in snake case, followed by `_init`: `DumbIncrement` exports `dumb_increment_init`.
/// * `subprotocols` are negotiated before [`on_connect`](Plugin::on_connect), in the plugin's order
///   of preference. [`Handshake::subprotocol`] returns the chosen one. A client that offers none of
///   them is still accepted, unless `on_connect` refuses it.
/// * `workers` is the number of threads of the runtime of an `AsyncPlugin`, in each child process
///   of httpd.
/// * `export = false` exports nothing. Use it for a plugin that is part of another plugin, which
///   calls its methods. Only such a plugin may be generic.
///
/// If the `impl` leaves them out, `type Connection` is `()`, `type Event` is [`NoEvents`],
/// [`configure`](Plugin::configure) makes the plugin with [`Default`], and
/// [`on_connect`](Plugin::on_connect) accepts every client. An `impl` has either
/// [`on_message`](Plugin::on_message) or [`on_part`](Plugin::on_part).
///
/// For a `Plugin` the attribute may also stand on a struct or an enum whose `impl` is elsewhere; it
/// must then be complete. A library may export several plugins. A mistake is a compile error with a
/// remedy.
pub use websocket_plugin_macros::websocket_plugin;

/// The Rust code in the documentation has to compile.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../README.md")]
    struct ReadmeOfTheCrate;

    #[doc = include_str!("../../docs/src/first-hour.md")]
    struct FirstHour;

    #[doc = include_str!("../../docs/src/metrics.md")]
    struct Metrics;

    #[doc = include_str!("../../docs/src/plugins.md")]
    struct Plugins;

    #[doc = include_str!("../../docs/src/events.md")]
    struct Events;

    #[doc = include_str!("../../docs/src/flow-control.md")]
    struct FlowControl;

    #[doc = include_str!("../../docs/src/long-messages.md")]
    struct LongMessages;

    #[doc = include_str!("../../docs/src/topics.md")]
    struct Topics;

    #[doc = include_str!("../../docs/src/testing.md")]
    struct Testing;

    #[cfg(feature = "tokio")]
    #[doc = include_str!("../../docs/src/async.md")]
    struct Async;
}
