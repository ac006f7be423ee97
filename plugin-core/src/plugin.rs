//! The trait every plugin implements.

use crate::export::Attributed;
use crate::{Close, Handshake, Message, Options, Rejection, Sender};
use std::error::Error;

/// Any error, as [`Plugin::configure`] may return it. Texts convert into one, too.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A WebSocket plugin: what to do when a client connects, says something, is gone.
///
/// Put [`#[websocket_plugin]`](crate::websocket_plugin) on the `impl` block. It exports the plugin, and
/// supplies what you leave out of [`Connection`](Self::Connection), [`configure`](Self::configure) and
/// [`on_connect`](Self::on_connect).
///
/// # Threads
///
/// The plugin itself is shared by all its connections, whose callbacks run in parallel, on threads of
/// httpd: hence `&self` and `Sync`. The callbacks of *one* connection never overlap, though they may run
/// on different threads: hence `&mut Connection` and `Send`, and no `Sync`. httpd may run several
/// processes, each of which has its own copy of the plugin.
///
/// A callback may take its time; it then keeps a thread and its own connection waiting, nobody else.
///
/// # Panics
///
/// A panic ends what it happened in, not httpd: the client is refused (500) in `on_connect` and
/// disconnected (1011) in `on_message`, and httpd's error log says which plugin panicked, where and why.
/// That takes `panic = "unwind"`, which is the default. With `panic = "abort"` a plugin does not compile.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `Plugin`",
    note = "write `impl Plugin for {Self}`, and put `#[websocket_plugin]` on that"
)]
pub trait Plugin: Attributed + Sized + Send + Sync + 'static {
    /// What the plugin knows about one connection, from [`on_connect`](Self::on_connect) until
    /// [`on_disconnect`](Self::on_disconnect). `()` if it is left out together with `on_connect`.
    type Connection: Send + 'static;

    /// Makes the plugin, with what `WebSocketPluginOption` lines say.
    ///
    /// Left out, it is [`Default::default`]. Any error goes: one of your own, [`OptionError`], a
    /// [`BoxError`], a `String`. httpd prints it and does not start.
    ///
    /// httpd calls this while it reads its configuration, in the process whose children will serve
    /// the clients; once for every distinct set of options, again when it reads its configuration again
    /// (as it does at each start), and once without options when it loads the library. So look at the
    /// options here, and start threads and open connections later, on the first `on_connect`: neither
    /// lives on in the children.
    ///
    /// # Errors
    ///
    /// Whatever the administrator must put right.
    ///
    /// [`OptionError`]: crate::OptionError
    fn configure(options: &Options) -> Result<Self, impl Into<BoxError>>;

    /// A client wants to connect. Accept it with the state of the new connection, or refuse it.
    ///
    /// Left out, it accepts everybody.
    ///
    /// # Errors
    ///
    /// [`Rejection`] says how the client is refused. Any error converts into one.
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Self::Connection, Rejection>;

    /// A whole text or binary message has arrived.
    ///
    /// # Errors
    ///
    /// [`Close`] closes the connection; after that, no more messages are delivered. Any error
    /// converts into one.
    fn on_message(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close>;

    /// The connection is gone, whoever ended it. Called exactly once for each that was accepted; its
    /// senders are closed already.
    fn on_disconnect(&self, connection: Self::Connection) {
        drop(connection);
    }
}
