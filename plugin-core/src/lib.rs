//! Write WebSocket plugins for Apache httpd in Rust: implement [`Plugin`], add an attribute, build.
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
//!     fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
//!         Ok(sender.send(message)?)
//!     }
//! }
//! ```
//!
//! `cargo build --release` makes `libecho.so` if the package is called `echo`. httpd's configuration
//! names it, and the function that [`#[websocket_plugin]`](websocket_plugin) exports:
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
//! A plugin that knows something about each connection says so in [`Plugin::Connection`], makes it in
//! [`on_connect`](Plugin::on_connect), where it may also refuse the client, gets it with every message, and
//! gets it back in [`on_disconnect`](Plugin::on_disconnect). What all connections share is in the plugin
//! itself, behind locks, because connections run in parallel:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//! use websocket_plugin::{
//!     Close, CloseCode, Handshake, Message, Plugin, Rejection, SendError, Sender, websocket_plugin,
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
//!         // The lock is released before anything is sent, so that others come and go meanwhile.
//!         let members: Vec<Sender> = self.room.lock().unwrap().values().cloned().collect();
//!         for member in members {
//!             // `send` would wait for a client that does not keep up, and so would everybody else.
//!             if let Err(SendError::Full) = member.try_send(&line) {
//!                 let _ = member.close(Close::new(CloseCode::TRY_AGAIN_LATER, "you do not keep up"));
//!             }
//!         }
//!         Ok(())
//!     }
//!
//!     fn on_disconnect(&self, member: Member) {
//!         self.room.lock().unwrap().remove(&member.id);
//!     }
//! }
//!
//! // Plugins are tested without httpd:
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
//! A [`Sender`] may be cloned, kept and used from any thread; when its connection is gone, it says so.
//! [`send`](Sender::send) waits when megabytes are queued for a client; [`try_send`](Sender::try_send) does not,
//! and is for who sends to many.
//! Threads of your own must have ended when your plugin has been dropped: httpd then unloads the library.
//! So keep their handles, and join them in `Drop`. And start them when the first client connects, not in
//! [`configure`](Plugin::configure): that runs before httpd forks the processes that serve clients, and
//! threads do not go along.
//!
//! # Long messages
//!
//! A message is delivered when it has arrived in full, however many fragments the client made of it (RFC
//! 6455, section 5.4); `WebSocketMaxMessageSize`, 32 MiB unless set, is what a client can make httpd hold. A
//! message you send goes out as one frame, however long it is. There is no way to receive or send a message
//! piece by piece: fragments mean nothing by themselves, as anything between the two ends may cut them
//! anew, and text is only known to be UTF-8 at its end. To stream, send a series of messages, and let the
//! client do the same; a `send` waits while megabytes are queued, which keeps you at the client's pace.
//!
//! # When something goes wrong
//!
//! In `on_connect` and `on_message`, `?` works on any error, on [`BoxError`] and on `anyhow::Error`, which
//! need no feature of this crate. It refuses the client (500), or closes the connection (1011), and the
//! error goes, with its sources, to httpd's error log. To tell the client more, return a [`Rejection`] or a
//! [`Close`] of your own. Panics are handled like errors, and do no harm beyond their connection; see
//! [`Plugin`](Plugin#panics).
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
//!         let number = |word: &str| word.parse::<i64>().with_context(|| format!("adding {word:?}"));
//!         line.split(' ').map(number).sum()
//!     }
//! }
//!
//! #[websocket_plugin]
//! impl Plugin for Sum {
//!     fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
//!         let Message::Text(line) = message else {
//!             return Err(Close::new(CloseCode::UNSUPPORTED_DATA, "text only")); // for the client
//!         };
//!         let sum = self.add(line)?; // for the log
//!         Ok(sender.send(&sum.to_string())?)
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
//! `WebSocketPluginOption NAME VALUE` lines reach [`Plugin::configure`]:
//!
//! ```
//! # use websocket_plugin::{Close, Message, OptionError, Options, Plugin, Sender, websocket_plugin};
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
//! The macros of the `log` crate write to httpd's error log, at the levels `error`, `warn`, `info`, `debug`
//! and `trace1`, with the plugin's name, and with the client if they are used in a callback. Which levels
//! are shown is up to `LogLevel`. A plugin that installs a logger of its own keeps it.
//!
//! # JSON
//!
//! With the feature `json`, [`Message::json`](Message#method.json) and
//! [`Sender::send_json`](Sender#method.send_json) read and write anything that `serde` can.
//!
//! # The C module
//!
//! What this makes is a plugin for the C module of the same name, too. That one knows less: see
//! [`Handshake`] for what is `None` there. It has no options, refuses everybody with 403, and has log lines
//! go to stderr. C programmers write plugins with `websocket_plugin.h`, which [`abi`] describes in Rust.
//!
//! **Do not send in `on_connect` there.** The C module holds the lock of the connection until its response
//! has gone out, and `send` and `close` wait for that lock: a plugin that calls one of them for the new
//! connection from `on_connect` waits for itself, and the client for its response, for ever. Send from the
//! first [`on_message`](Plugin::on_message), or from a thread that `on_connect` gives the
//! [`Sender`] to: it waits until the response is out. (`mod_websocket` in Rust sends such messages behind the
//! response.)
//!
//! `send` to any other connection returns there when that connection's own thread has written the message,
//! so two callbacks that send to each other's connections wait for ever, too. Have a thread of your own send
//! to others.

#![deny(unsafe_code)]

// The attribute writes absolute paths, in the tests of this crate, too.
#[cfg(test)]
extern crate self as websocket_plugin;

pub mod abi;
mod close;
#[doc(hidden)]
pub mod export;
mod handshake;
mod header;
#[cfg(feature = "json")]
mod json;
mod message;
mod options;
mod plugin;
mod rejection;
mod sender;
mod sync;
pub mod testing;

pub use close::{Close, CloseCode, IntoClose};
pub use handshake::{Handshake, Headers};
pub use header::InvalidHeader;
#[cfg(feature = "json")]
pub use json::SendJsonError;
pub use message::Message;
pub use options::{OptionError, Options};
pub use plugin::{BoxError, Plugin};
pub use rejection::Rejection;
pub use sender::{SendError, Sender};

/// Exports a plugin, and supplies what its `impl` leaves out.
///
/// It goes on `impl Plugin for YourType`:
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
/// * `symbol` names the exported function, for `WebSocketHandler`. Without it, that is the type's name in
///   snake case and `_init`: `DumbIncrement` exports `dumb_increment_init`.
/// * `subprotocols` are negotiated before [`on_connect`](Plugin::on_connect), which finds the choice in
///   [`Handshake::subprotocol`]. The first that the client offers is taken; who offers none of them is not
///   refused by that.
/// * `export = false` exports nothing: the plugin is part of another that calls its methods. Only such a
///   plugin may be generic.
///
/// Left out of the `impl`, `type Connection` is `()`, [`configure`](Plugin::configure) makes the plugin with
/// [`Default`], and [`on_connect`](Plugin::on_connect) accepts everybody.
///
/// It may also go on a struct or an enum whose `impl Plugin` stands elsewhere; that must then be complete.
/// A library may export several plugins. A mistake is a compile error that says what to do.
pub use websocket_plugin_macros::websocket_plugin;
