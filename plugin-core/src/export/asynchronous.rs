//! Runs an [`AsyncPlugin`] as a [`Plugin`].

mod exit;
mod mailbox;
mod open;
mod runtime;
mod task;

pub use runtime::Runtime;

use super::guard::Scope;
use super::{Attributed, Exported};
use crate::{
    AsyncPlugin, BoxError, Close, Disconnect, Handshake, Message, NoEvents, Options, Plugin,
    Rejection, Sender,
};
use mailbox::Pushed;
use open::{Entry, Open};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use task::{Counted, Link, Owned, Runner};
use tokio::runtime::Handle;

/// How long the last callbacks are waited for when the plugin is dropped. httpd kills a child that
/// takes more than nine seconds to stop, and the module needs up to six of them.
const PATIENCE: Duration = Duration::from_secs(2);

/// A type whose `impl AsyncPlugin` has the attribute, like [`Attributed`].
#[diagnostic::on_unimplemented(
    message = "`impl AsyncPlugin for {Self}` lacks the attribute `#[websocket_plugin]`",
    label = "put `#[websocket_plugin]` on this `impl`",
    note = "it exports the plugin, and supplies the items the `impl` leaves out"
)]
pub trait AsyncAttributed {}

/// An exported async plugin.
pub trait AsyncExported: AsyncPlugin + Exported<Runs = Async<Self>> {
    /// The place that keeps the plugin's runtime.
    fn runtime() -> &'static Runtime;
}

/// An async plugin in the form of any other.
pub struct Async<T: AsyncExported> {
    plugin: Arc<T>,
    handle: OnceLock<Handle>,
    open: Arc<Open>,
}

/// A connection of an async plugin.
pub struct Served {
    link: Arc<Link>,
    handle: Handle,
}

impl<T: AsyncExported> Attributed for Async<T> {}

impl<T: AsyncExported> Plugin for Async<T> {
    type Connection = Served;
    type Event = NoEvents;

    fn configure(options: &Options) -> Result<Self, impl Into<BoxError>> {
        T::configure(options).map(|plugin| Self {
            plugin: Arc::new(plugin),
            handle: OnceLock::new(),
            open: Arc::new(Open::new()),
        })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Served, Rejection> {
        let handle = self.handle()?;
        let state = runtime::block_on(handle, self.plugin.on_connect(handshake))?;
        let link = Link::open(
            Arc::clone(&self.plugin),
            state,
            handshake.sender(),
            &T::slot().source,
            self.counted(),
        );
        handle.spawn(Runner(Arc::clone(&link)));
        SERVED_HERE.set(SERVED_HERE.get() + 1);
        Ok(Served {
            link,
            handle: handle.clone(),
        })
    }

    fn on_message(&self, served: &mut Served, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let mailbox = &served.link.mailbox;
        match mailbox.push(Owned::from(m), || to.hold_back()) {
            Pushed::Queued => {}
            Pushed::Run(task, waker) => {
                let _within = served.handle.enter();
                let _ = served.link.run(task, &waker);
            }
            Pushed::Wait => mailbox.wait_for_room(),
        }
        Ok(())
    }

    fn on_disconnect(&self, served: Served, disconnect: Disconnect) {
        SERVED_HERE.set(SERVED_HERE.get() - 1);
        if let Some((task, waker)) = served.link.mailbox.end(disconnect) {
            let _within = served.handle.enter();
            if served.link.run(task, &waker).is_ready() {
                // The runtime's task has to learn that it is over.
                waker.wake();
            }
        }
    }
}

impl<T: AsyncExported> Async<T> {
    fn counted(&self) -> Counted {
        let open = Arc::clone(&self.open);
        (Entry::of(open), Entry::of(&T::runtime().open))
    }

    fn handle(&self) -> Result<&Handle, NoRuntime> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let handle = T::runtime()
            .handle(T::NAME, end_with_process::<T>)
            .map_err(NoRuntime)?;
        Ok(self.handle.get_or_init(|| handle))
    }
}

impl<T: AsyncExported> Drop for Async<T> {
    /// Lets the last callbacks complete, so that the plugin is dropped here and not by one of them.
    fn drop(&mut self) {
        wait_for_callbacks::<T>(&self.open);
    }
}

fn wait_for_callbacks<T: AsyncExported>(open: &Open) {
    let left = open.wait(PATIENCE);
    if left > 0 {
        Scope::detached(&T::slot().source).warn(&format!(
            "the callbacks of {left} connections have not completed within {} seconds after their \
             end, and are dropped",
            PATIENCE.as_secs()
        ));
    }
}

/// Ends the runtime before its process ends. A child of httpd that ends does not unload plugins.
fn end_with_process<T: AsyncExported>() {
    if !has_interrupted_a_connection() {
        wait_for_callbacks::<T>(&T::runtime().open);
        stop::<T>();
    }
}

thread_local! {
    /// The connections that have begun on this thread, without those that have ended on it. It has
    /// a meaning only where one thread serves a connection from its beginning to its end.
    static SERVED_HERE: Cell<isize> = const { Cell::new(0) };
}

/// Whether this is a signal handler of the prefork MPM, which ends a child in it.
///
/// It may have interrupted a callback, and Tokio in it, and the connection has not ended: nothing of
/// Tokio can be used. The process ends anyway, and the threads of the runtime keep the library in
/// memory until then. Where an MPM has threads, the one that ends the process serves no connection.
fn has_interrupted_a_connection() -> bool {
    SERVED_HERE.get() > 0 || Scope::with_current(|scope| scope.is_some())
}

/// Ends the runtime of a plugin whose last instance is gone.
pub fn stop<T: AsyncExported>() {
    if Scope::with_current(|scope| scope.is_some()) {
        return;
    }
    let left = T::runtime().stop();
    if left > 0 {
        Scope::detached(&T::slot().source).warn(&format!(
            "{left} threads of the runtime are blocked in a callback or a task and do not end"
        ));
    }
}

/// The runtime could not be started.
#[derive(Debug)]
struct NoRuntime(io::Error);

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime cannot be started")
    }
}

impl Error for NoRuntime {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
