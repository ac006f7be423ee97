//! Runs an [`AsyncPlugin`] as a [`Plugin`].

mod delivery;
mod exit;
mod finishing;
mod late;
mod leave;
mod mailbox;
mod runner;
mod runtime;
mod task;
#[cfg(test)]
mod tests;
mod told;

pub use runtime::Runtime;

use super::guard::Scope;
use super::{Attributed, Exported};
use crate::{
    AsyncPlugin, BoxError, Close, Disconnect, Handshake, Message, Options, Plugin, Rejection,
    Sender, Tick, Ticks,
};
use delivery::{Delivery, Posted};
use finishing::Ticket;
use late::{Entry, Late};
use leave::Leave;
use mailbox::{Pushed, Rest};
use runner::Runner;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use task::{End, Link};
use tokio::runtime::Handle;

/// How long the last callbacks are waited for when the plugin is dropped, and when the process ends
/// without a word of the module. httpd kills a child that takes more than nine seconds to stop, and
/// the module needs most of them.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the messages that wait may take after the client has closed the connection.
const FINISH: Duration = Duration::from_secs(5);

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
    late: Arc<Late>,
    /// The leave of ticks.
    leave: Leave,
}

/// A connection of an async plugin.
pub struct Served {
    link: Arc<Link>,
    handle: Handle,
}

impl<T: AsyncExported> Attributed for Async<T> {}

impl<T: AsyncExported> Plugin for Async<T> {
    type Connection = Served;
    type Event = T::Event;

    fn configure(options: &Options) -> Result<Self, impl Into<BoxError>> {
        T::configure(options).map(|plugin| Self {
            plugin: Arc::new(plugin),
            handle: OnceLock::new(),
            late: Arc::new(Late::new()),
            leave: Leave::default(),
        })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Served, Rejection> {
        let handle = self.handle()?;
        if Self::is_full() {
            return Err(Rejection::SERVICE_UNAVAILABLE);
        }
        let leave = &T::runtime().handshakes;
        let connecting = leave.given(self.plugin.on_connect(handshake));
        // `None`: the process is about to end.
        let connected = runtime::block_on(handle, connecting);
        let state = connected.unwrap_or(Err(Rejection::SERVICE_UNAVAILABLE))?;
        let link = Link::open(
            Arc::clone(&self.plugin),
            state,
            handshake.sender(),
            &T::slot().source,
        );
        handle.spawn(Runner::new(Arc::clone(&link)));
        SERVED_HERE.set(SERVED_HERE.get() + 1);
        Ok(Served {
            link,
            handle: handle.clone(),
        })
    }

    fn on_message(&self, served: &mut Served, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        served.deliver(m.into(), to);
        Ok(())
    }

    fn on_event(&self, served: &mut Served, to: &Sender, event: T::Event) -> Result<(), Close> {
        let event = Posted::new(event, to, &T::slot().source);
        served.deliver(Delivery::Event(event), to);
        Ok(())
    }

    fn on_drain(&self, served: &mut Served, to: &Sender) -> Result<(), Close> {
        served.deliver(Delivery::Drained, to);
        Ok(())
    }

    fn ticks(&self) -> Option<Ticks> {
        self.plugin.ticks()
    }

    /// Waits for the tick, so that the next one comes after it.
    fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        let ticking = async { self.leave.given(self.plugin.on_tick(tick)).await };
        runtime::block_on(self.handle()?, ticking).unwrap_or_else(|| {
            let text = "on_tick has not completed when its process had to end, and is dropped";
            Scope::detached(&T::slot().source).warn(text);
            Ok(())
        })
    }

    fn on_disconnect(&self, served: Served, disconnect: Disconnect) {
        SERVED_HERE.set(SERVED_HERE.get() - 1);
        let _within = served.handle.enter();
        let rest = if disconnect.is_clean() {
            Rest::Handled
        } else {
            Rest::Dropped
        };
        let is_handled = rest == Rest::Handled;
        let end = End {
            disconnect,
            finishing: is_handled.then(|| Self::finishing(&served.link)).flatten(),
            counted: self.counted(&served.link),
        };
        let limit = Instant::now() + FINISH;
        if let Some((task, waker)) = served.link.mailbox.end(end, rest, limit) {
            let _ = served.link.run(task, &waker);
            // The runtime's task has to learn that it is over, or of its limit.
            waker.wake();
        }
    }
}

impl Served {
    /// How many bytes of messages wait, or are with the callback that runs.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.link.mailbox.bytes()
    }

    /// Has the plugin handle this, now or when its turn comes.
    fn deliver(&self, delivery: Delivery, to: &Sender) {
        let mailbox = &self.link.mailbox;
        match mailbox.push(delivery, || to.hold_back()) {
            Pushed::Queued => {}
            Pushed::Run(task, waker) => {
                let within = self.handle.enter();
                let ran = self.link.run(task, &waker);
                drop(within);
                if ran.is_pending() {
                    mailbox.hold_if_full(|| to.hold_back());
                }
            }
            Pushed::Wait => mailbox.wait_for_room(),
        }
    }
}

impl<T: AsyncExported> Async<T> {
    /// Has the tick that is under way end where it waits, and all later ones at once.
    pub fn end_ticks(&self) {
        self.leave.take();
    }

    /// Whether so much is left of connections that have ended that none may begin.
    fn is_full() -> bool {
        let runtime = T::runtime();
        let is_full = runtime.late.are_too_many();
        if is_full && runtime.told.is_due(Instant::now()) {
            Scope::detached(&T::slot().source).warn(&format!(
                "clients are refused with 503, for on_disconnect of {} others has not completed; \
                 this is logged once a minute",
                late::MOST
            ));
        }
        is_full
    }

    /// Counts the task of a connection that has ended.
    fn counted(&self, link: &Arc<Link>) -> (Entry<Arc<Late>>, Entry<&'static Late>) {
        let task: Weak<Link> = Arc::downgrade(link);
        (
            Entry::new(Arc::clone(&self.late), task.clone()),
            Entry::new(&T::runtime().late, task),
        )
    }

    /// Counts a connection that the client has closed, if something is left of it to handle.
    fn finishing(link: &Arc<Link>) -> Option<Ticket> {
        if !link.mailbox.has_rest() {
            return None;
        }
        let task: Weak<Link> = Arc::downgrade(link);
        let finishing = &T::runtime().finishing;
        let (ticket, dropped) = finishing.enter(link.mailbox.bytes(), task);
        if dropped.is_to_log {
            Scope::detached(&T::slot().source).warn(&format!(
                "messages of clients that have closed their connections are dropped: more than {} \
                 such clients, or 16 MiB, wait for callbacks; this is logged once a minute",
                finishing::MOST_CONNECTIONS
            ));
        }
        dropped.give_up();
        Some(ticket)
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
        wait_for_callbacks::<T>(&self.late, PATIENCE);
    }
}

fn wait_for_callbacks<T: AsyncExported>(late: &Late, patience: Duration) {
    let left = late.wait(patience);
    if left > 0 {
        Scope::detached(&T::slot().source).warn(&format!(
            "the callbacks of {left} connections have not completed within {:.1} seconds after \
             their end, and are dropped",
            patience.as_secs_f32()
        ));
    }
}

/// Ends the runtime for good, because the process is about to end. Gives callbacks of connections
/// that have ended, and then the threads of the runtime, so much time in all. Returns how many
/// threads did not end.
pub fn end<T: AsyncExported>(patience: Duration) -> usize {
    let for_threads = (patience / 4).min(runtime::PATIENCE);
    let began = Instant::now();
    wait_for_callbacks::<T>(&T::runtime().late, patience - for_threads);
    let left = patience.saturating_sub(began.elapsed());
    let threads = T::runtime().end(left.min(runtime::PATIENCE));
    warn_of_threads::<T>(threads);
    threads
}

/// Ends the runtime before its process ends, where the module has not done that: older versions do
/// not, nor does the C module.
fn end_with_process<T: AsyncExported>() {
    if !has_interrupted_a_connection() && !T::runtime().is_over() {
        end::<T>(PATIENCE);
    }
}

thread_local! {
    /// The connections that have begun on this thread, without those that have ended on it. It has
    /// a meaning only where one thread serves a connection from its beginning to its end.
    static SERVED_HERE: Cell<isize> = const { Cell::new(0) };
}

/// Whether this is a signal handler of the prefork MPM, which ends a child in it.
///
/// It may have interrupted a callback, and Tokio in it, and the connection has not ended: nothing
/// of Tokio can be used. The process ends anyway, and the threads of the runtime keep the library
/// in memory until then. Where an MPM has threads, the one that ends the process serves no
/// connection.
fn has_interrupted_a_connection() -> bool {
    SERVED_HERE.get() > 0 || Scope::with_current(|scope| scope.is_some())
}

/// Has every `on_connect` end where it waits, and all later ones at once, because the process is
/// about to end.
pub fn end_handshakes<T: AsyncExported>() {
    T::runtime().handshakes.take();
}

/// Ends the runtime of a plugin whose last instance is gone.
pub fn stop<T: AsyncExported>() {
    if Scope::with_current(|scope| scope.is_some()) {
        return;
    }
    warn_of_threads::<T>(T::runtime().stop());
}

fn warn_of_threads<T: AsyncExported>(left: usize) {
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
