//! The trait every plugin implements.

use crate::export::Attributed;
use crate::{Close, Disconnect, Handshake, Message, Options, Part, Rejection, Sender, Tick, Ticks};
use std::error::Error;

/// Any error, for [`Plugin::configure`]. Strings convert into it, too.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The [`Plugin::Event`] of a plugin without events: there is no value of this type. To post
/// events, declare `type Event` in the `impl`, and write [`on_event`](Plugin::on_event).
#[derive(Clone, Copy, Debug)]
pub enum NoEvents {}

/// A WebSocket plugin.
///
/// Put [`#[websocket_plugin]`](crate::websocket_plugin) on the `impl` block. The attribute exports
/// the plugin, and supplies [`Connection`](Self::Connection), [`configure`](Self::configure) and
/// [`on_connect`](Self::on_connect) if you leave them out.
///
/// # Threads
///
/// All connections share the plugin, and their callbacks run in parallel on threads of httpd. So
/// callbacks take `&self`, and the plugin must be `Sync`. The callbacks of *one* connection never
/// overlap, but may run on different threads. So they take `&mut Connection`, and a connection must
/// be `Send` but not `Sync`. httpd may run several processes, each with its own copy of the plugin.
///
/// A callback may block. Meanwhile it occupies a thread and delays its own connection, but no
/// other.
///
/// # Panics
///
/// A panic does not end httpd. In `on_connect` it refuses the client with 500, in `on_message` it
/// closes the connection with 1011. httpd's error log has the name of the plugin, the panic message
/// and its location. This needs `panic = "unwind"`, the default. With `panic = "abort"` a plugin
/// does not compile.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `Plugin`",
    note = "write `impl Plugin for {Self}`, and put `#[websocket_plugin]` on that"
)]
pub trait Plugin: Attributed + Sized + Send + Sync + 'static {
    /// The plugin's state for one connection, from [`on_connect`](Self::on_connect) to
    /// [`on_disconnect`](Self::on_disconnect). If you leave it out together with `on_connect`, it
    /// is `()`.
    type Connection: Send + 'static;

    /// What is [posted](Sender::post) to a connection. If you leave it out together with
    /// [`on_event`](Self::on_event), it is [`NoEvents`].
    type Event: Send + 'static;

    /// Whether messages come in parts, to [`on_part`](Self::on_part). The attribute sets it on an
    /// `impl` that has `on_part`. Set it yourself if the attribute is on the type.
    const IN_PARTS: bool = false;

    /// Makes the plugin from its options, the `WebSocketPluginOption` lines.
    ///
    /// If you leave it out, it calls [`Default::default`]. The error may be a type of your own, an
    /// [`OptionError`], a [`BoxError`] or a `String`. httpd prints it and does not start.
    ///
    /// httpd calls this in its parent process while it reads the configuration: once without
    /// options when it loads the library, and once for each distinct set of options. It does so
    /// again each time that it reads its configuration, which happens twice at a start. If only an
    /// `.htaccess` file names the plugin, a child process does this for each request.
    ///
    /// Only check the options here. Start threads and open connections later, in the first
    /// `on_connect`: neither survives the fork of the child processes that serve the clients.
    ///
    /// # Errors
    ///
    /// The administrator's options are wrong.
    ///
    /// [`OptionError`]: crate::OptionError
    fn configure(options: &Options) -> Result<Self, impl Into<BoxError>>;

    /// Called when a client wants to connect. Returns the state of the new connection to accept the
    /// client, or an error to refuse it.
    ///
    /// If you leave it out, the plugin accepts every client.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] is the HTTP response to the client. Any error converts into one.
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Self::Connection, Rejection>;

    /// Called when a whole text or binary message has arrived.
    ///
    /// # Errors
    ///
    /// A [`Close`] closes the connection. httpd then delivers no more messages. Any error converts
    /// into one.
    fn on_message(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close>;

    /// Called for each part of a message, as soon as it has arrived. Write it instead of
    /// [`on_message`](Self::on_message) if messages may be too long for memory, or if the plugin
    /// can use the beginning before it has the end.
    ///
    /// A part has at most 128 KiB, and a connection takes less than half a megabyte for it, however
    /// long its messages are. While this callback runs, or the plugin has [paused](Sender::pause)
    /// the client, nothing more is read from the client.
    ///
    /// * Parts are as long as what has just arrived. They have nothing to do with the client's
    ///   fragments, and compressed messages are inflated.
    /// * `WebSocketMaxMessageSize` limits the whole message, and `WebSocketMaxFragments` its
    ///   fragments. A message that exceeds one of them ends the connection, as does a text that is
    ///   not UTF-8. So do not use what a message says before its last part has come, unless you can
    ///   take it back.
    /// * `WebSocketMessageTimeout` limits the time between two parts, `WebSocketMessageRate` counts
    ///   a message at its last part, and for `WebSocketIdleTimeout` each part is like a message.
    /// * If the connection ends in the middle of a message, no last part comes:
    ///   [`on_disconnect`](Self::on_disconnect) is next.
    ///
    /// Where the host cannot hand out parts (the C module, and older versions of `mod_websocket`),
    /// each message comes as one part of any length.
    ///
    /// # Errors
    ///
    /// As for [`on_message`](Self::on_message).
    fn on_part(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
        part: Part<'_>,
    ) -> Result<(), Close> {
        let _ = (connection, sender, part);
        Ok(())
    }

    /// Called for each event that was posted to the connection, with [`Sender::post`] or
    /// [`Sender::after`].
    ///
    /// # Errors
    ///
    /// As for [`on_message`](Self::on_message).
    fn on_event(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
        event: Self::Event,
    ) -> Result<(), Close> {
        drop(event);
        let _ = (connection, sender);
        Ok(())
    }

    /// Called when there is room again after [`try_send`](Sender::try_send) gave
    /// [`SendError::Full`](crate::SendError::Full), or [`send`](Sender::send) had to wait: half of
    /// the connection's queue (`WebSocketSendQueue`) is free. Send on here what was refused.
    ///
    /// httpd calls it once for each time that the queue was full, in the order of the connection's
    /// other callbacks, and not if the connection is closing. The C module never calls it.
    ///
    /// # Errors
    ///
    /// As for [`on_message`](Self::on_message).
    fn on_drain(&self, connection: &mut Self::Connection, sender: &Sender) -> Result<(), Close> {
        let _ = (connection, sender);
        Ok(())
    }

    /// How often [`on_tick`](Self::on_tick) is called, and in which processes; `None`: never. httpd
    /// asks once, after [`configure`](Self::configure).
    fn ticks(&self) -> Option<Ticks> {
        None
    }

    /// Called at regular times, whether there are connections or not. Publish to a
    /// [topic](crate::Topics) here what all clients get:
    ///
    /// ```
    /// # use websocket_plugin::{
    /// #     BoxError, Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
    /// # };
    /// use std::time::Duration;
    /// use websocket_plugin::{Tick, Ticks};
    ///
    /// #[derive(Default)]
    /// struct Clock;
    ///
    /// #[websocket_plugin]
    /// impl Plugin for Clock {
    ///     fn ticks(&self) -> Option<Ticks> {
    ///         Some(Ticks::in_one_process(Duration::from_secs(1)))
    ///     }
    ///
    ///     fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
    ///         tick.topics.publish("clock", tick.since_1970().as_secs().to_string())?;
    ///         Ok(())
    ///     }
    ///
    ///     fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
    ///         handshake.subscribe("clock")?;
    ///         Ok(())
    ///     }
    /// #
    /// #   fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
    /// #       Ok(())
    /// #   }
    /// }
    /// # use websocket_plugin::testing::{Host, Received, Request};
    /// # let host = Host::load::<Clock>();
    /// # let client = host.connect(Request::new()).unwrap();
    /// host.advance(Duration::from_secs(2)); // in a test
    /// # let ticks = ["1", "2"].map(|text| Received::Text(text.into()));
    /// # assert_eq!(client.received(), ticks);
    /// ```
    ///
    /// Each instance of the plugin that wants ticks has a thread in each process of httpd, from the
    /// start of the process to its end. Two ticks of an instance never overlap. They come at
    /// multiples of the interval. While one takes longer, those that are due meanwhile are left
    /// out. When the process ends, a tick that takes longer than half a second is not waited for.
    ///
    /// Plugins in C have no ticks, nor do the C module and older versions of `mod_websocket`.
    ///
    /// # Errors
    ///
    /// The error goes to httpd's error log, unless the tick before has failed, too.
    fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        let _ = tick;
        Ok(())
    }

    /// Called when the connection is gone, whichever side ended it. `disconnect` says who did, and
    /// why. httpd calls this exactly once for each accepted connection. The connection's senders
    /// are closed by then.
    fn on_disconnect(&self, connection: Self::Connection, disconnect: Disconnect) {
        drop((connection, disconnect));
    }
}
