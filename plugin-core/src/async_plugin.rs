//! The trait of plugins whose callbacks are `async`.

use crate::export::AsyncAttributed;
use crate::{
    BoxError, Close, Disconnect, Handshake, Message, Options, Rejection, Sender, Tick, Ticks,
};
use std::future::{Future, ready};

/// A WebSocket plugin with `async` callbacks, which run on [Tokio](https://tokio.rs). It needs the
/// feature `tokio`.
///
/// Use it for a plugin that waits for something other than its clients: a database, another
/// server, a timer. A plugin that only computes is simpler as a [`Plugin`](crate::Plugin).
///
/// Put [`#[websocket_plugin]`](crate::websocket_plugin) on the `impl` block. As for a `Plugin`, it
/// supplies [`Connection`](Self::Connection), [`configure`](Self::configure) and
/// [`on_connect`](Self::on_connect) if you leave them out. Write the callbacks as `async fn`:
///
/// ```
/// # use std::time::Duration;
/// use websocket_plugin::{AsyncPlugin, Close, Message, Sender, websocket_plugin};
///
/// #[derive(Default)]
/// struct Echo;
///
/// #[websocket_plugin(workers = 2)]
/// impl AsyncPlugin for Echo {
///     async fn on_message(
///         &self,
///         _: &mut (),
///         sender: &Sender,
///         message: Message<'_>,
///     ) -> Result<(), Close> {
///         tokio::time::sleep(Duration::from_millis(10)).await;
///         Ok(sender.send_async(message).await?)
///     }
/// }
///
/// use websocket_plugin::testing::{Host, Received, Request};
///
/// let host = Host::load::<Echo>();
/// let mut client = host.connect(Request::new()).unwrap();
/// client.send("hello");
/// assert_eq!(client.receive(), Received::Text("hello".into())); // waits for it
/// ```
///
/// # The runtime
///
/// Each child process of httpd has one multi-thread runtime for the plugin. The process starts it
/// when the first client connects or the first [tick](Self::on_tick) is due, after the fork.
/// `workers` is the number of its threads; the default is 2, or 1 on a single processor. All
/// callbacks run within it, so `tokio::spawn`, timers, sockets and crates that need Tokio work in
/// them. They do not work in [`configure`](Self::configure), which httpd calls before the fork. If
/// only an `.htaccess` file names the plugin, each of its connections has a runtime of its own.
///
/// # Threads
///
/// `on_message` begins on the thread of httpd that has read the message. If it completes without
/// waiting, no other thread is involved, and it costs little more than that of a `Plugin`. When it
/// waits, httpd's thread goes on with other connections, and a thread of the runtime completes the
/// callback. The callbacks of *one* connection never overlap, and run in order. Those of different
/// connections run in parallel, so they take `&self`, and the plugin must be `Sync`.
///
/// A callback should not block a thread: not with `std::thread::sleep`, not with files or sockets
/// of `std`, and not with [`Sender::send`], which waits while megabytes are queued for a slow
/// client. Each such callback keeps a thread of the runtime from others.
/// [`Sender::send_async`] waits without a thread.
///
/// # Order and limits
///
/// While a callback waits, the connection's next messages and events wait in its mailbox. When 32
/// are in it, or the messages have 64 KiB together with the one that the callback handles, the
/// module stops reading from the client, until half of them are gone, as with [`Sender::pause`].
/// Nothing is lost, and TCP holds the client back. The module does not notice meanwhile that the
/// client closes the connection. So a client occupies 64 KiB and one longer message at most, and
/// what it occupies counts towards `WebSocketMemoryLimit`.
///
/// # The end of a connection
///
/// If the client has closed the connection in order ([`Disconnect::is_clean`]), the messages that
/// it had sent before are still handled, for up to five seconds. Their callbacks can send nothing
/// any more: they get [`SendError::Closed`](crate::SendError::Closed), and if they return that, the
/// next message comes all the same. Any other error ends it. In a process, 256 connections of the
/// plugin may have such messages, with 16 MiB together (or a single one with more). Beyond 256 the
/// oldest are treated as if their time were over, beyond 16 MiB those with the most bytes. A line
/// in the error log says so.
///
/// In all other cases, and when the five seconds are over, the callback that waits is cancelled:
/// Rust drops the future at the `.await` where it is. Messages in the mailbox are dropped, too, and
/// so are events as soon as the connection has ended.
///
/// After that [`on_disconnect`](Self::on_disconnect) gets the state of the connection, exactly
/// once, and never beside another callback of the connection. It is cancelled after ten seconds,
/// and a line in the error log says so. If some work has to be completed although the client has
/// gone, give it to `tokio::spawn`.
///
/// While 8192 of them wait in a process, new clients of the plugin are refused with 503.
///
/// When a child process ends, the callbacks of all async plugins together have two seconds to
/// complete: in the first half messages are still handled, the second half is for `on_disconnect`.
/// Topics can be published to until then. Then the runtime ends: what still waits is dropped, also
/// work given to `tokio::spawn`. The same time is there before a plugin is dropped. The error log
/// tells how many callbacks were left, and how many threads that block. A child of the prefork MPM
/// that is told to stop calls no `on_disconnect` for the connection that it serves.
///
/// # Panics
///
/// As for a [`Plugin`](crate::Plugin#panics): a panic in a callback is logged and ends its own
/// connection with 1011.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `AsyncPlugin`",
    note = "write `impl AsyncPlugin for {Self}`, and put `#[websocket_plugin]` on that"
)]
pub trait AsyncPlugin: AsyncAttributed + Sized + Send + Sync + 'static {
    /// The plugin's state for one connection, from [`on_connect`](Self::on_connect) to
    /// [`on_disconnect`](Self::on_disconnect). If you leave it out together with `on_connect`, it
    /// is `()`.
    type Connection: Send + 'static;

    /// What is [posted](Sender::post) to a connection. If you leave it out together with
    /// [`on_event`](Self::on_event), it is [`NoEvents`](crate::NoEvents).
    type Event: Send + 'static;

    /// Makes the plugin from its options, as [`Plugin::configure`](crate::Plugin::configure) does.
    /// It is not `async`: httpd calls it before there is a runtime.
    ///
    /// Make clients of databases here if that connects to nothing, or else in the first
    /// `on_connect`, for example in a `tokio::sync::OnceCell`.
    ///
    /// # Errors
    ///
    /// The administrator's options are wrong.
    fn configure(options: &Options) -> Result<Self, impl Into<BoxError>>;

    /// Called when a client wants to connect. Returns the state of the new connection to accept the
    /// client, or an error to refuse it.
    ///
    /// The client gets its answer when this has completed. **Until then it occupies a thread**,
    /// which waits for the future. So limit the time that this may take, for example with
    /// `tokio::time::timeout`.
    ///
    /// On the event MPM that is a thread of the module, so httpd serves other requests meanwhile. At
    /// most half of the threads that `WebSocketThreads` allows beyond the event loops wait in this
    /// way in each process; more handshakes wait for their turn. It is a thread of httpd on other
    /// MPMs, over HTTP/2, and with `WebSocketEventDriven Off`. When the process ends at once, the
    /// future is dropped at its `.await`, and the client gets 503.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] is the HTTP response to the client. Any error converts into one.
    fn on_connect(
        &self,
        handshake: &mut Handshake<'_>,
    ) -> impl Future<Output = Result<Self::Connection, Rejection>>;

    /// Called when a whole text or binary message has arrived.
    ///
    /// # Errors
    ///
    /// A [`Close`] closes the connection. The plugin then gets no more messages. Any error converts
    /// into one.
    fn on_message(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
        message: Message<'_>,
    ) -> impl Future<Output = Result<(), Close>> + Send;

    /// Called for each event that was posted to the connection, with [`Sender::post`] or
    /// [`Sender::after`], in the order of the connection's other callbacks. At most 1024 events
    /// wait for a callback; more are refused.
    ///
    /// # Errors
    ///
    /// As for [`on_message`](Self::on_message).
    fn on_event(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
        event: Self::Event,
    ) -> impl Future<Output = Result<(), Close>> + Send {
        drop(event);
        let _ = (connection, sender);
        ready(Ok(()))
    }

    /// Called when there is room again after [`try_send`](Sender::try_send) gave
    /// [`SendError::Full`](crate::SendError::Full), as for a [`Plugin`](crate::Plugin::on_drain).
    /// [`send_async`](Sender::send_async) waits for that by itself.
    ///
    /// # Errors
    ///
    /// As for [`on_message`](Self::on_message).
    fn on_drain(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
    ) -> impl Future<Output = Result<(), Close>> + Send {
        let _ = (connection, sender);
        ready(Ok(()))
    }

    /// How often [`on_tick`](Self::on_tick) is called, and in which processes, as for a
    /// [`Plugin`](crate::Plugin::ticks). It is not `async`: httpd asks once, before there is a
    /// runtime.
    fn ticks(&self) -> Option<Ticks> {
        None
    }

    /// Called at regular times, whether there are connections or not, as for a
    /// [`Plugin`](crate::Plugin::on_tick). Here it may wait for a database or another server:
    ///
    /// ```
    /// # use websocket_plugin::{
    /// #     AsyncPlugin, BoxError, Close, Handshake, Message, Rejection, Sender, websocket_plugin,
    /// # };
    /// # async fn price() -> Result<u32, BoxError> {
    /// #     Ok(42)
    /// # }
    /// use std::time::Duration;
    /// use websocket_plugin::{Tick, Ticks};
    ///
    /// #[derive(Default)]
    /// struct Prices;
    ///
    /// #[websocket_plugin]
    /// impl AsyncPlugin for Prices {
    ///     fn ticks(&self) -> Option<Ticks> {
    ///         Some(Ticks::in_one_process(Duration::from_secs(1)))
    ///     }
    ///
    ///     async fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
    ///         let price = tokio::time::timeout(Duration::from_secs(5), price()).await??;
    ///         tick.topics.publish("price", price.to_string())?;
    ///         Ok(())
    ///     }
    ///
    ///     async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
    ///         handshake.subscribe("price")?;
    ///         Ok(())
    ///     }
    /// #
    /// #   async fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
    /// #       Ok(())
    /// #   }
    /// }
    /// # use websocket_plugin::testing::{Host, Received, Request};
    /// # let host = Host::load::<Prices>();
    /// # let client = host.connect(Request::new()).unwrap();
    /// host.advance(Duration::from_secs(1)); // in a test: returns when the tick has completed
    /// # assert_eq!(client.received(), [Received::Text("42".into())]);
    /// ```
    ///
    /// It runs in the thread that each instance with ticks has in each process, within the runtime.
    /// So it may block, and the next tick comes when it has completed. When the process ends, it
    /// has a third of a second to complete. Then it is cancelled at its `.await`, and a line in the
    /// error log says so.
    ///
    /// # Errors
    ///
    /// The error goes to httpd's error log, unless the tick before has failed, too.
    fn on_tick(&self, tick: &Tick) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = tick;
        ready(Ok(()))
    }

    /// Called when the connection is gone, whichever side ended it, after its last callback has
    /// completed or was cancelled. `disconnect` says who ended the connection, and why. The
    /// connection's senders are closed by then. It may take ten seconds.
    fn on_disconnect(
        &self,
        connection: Self::Connection,
        disconnect: Disconnect,
    ) -> impl Future<Output = ()> + Send {
        drop((connection, disconnect));
        ready(())
    }
}
