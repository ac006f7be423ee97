//! The task of one connection: it calls the plugin's callbacks, one after the other.

use super::delivery::Delivery;
use super::finishing::Ticket;
use super::late::{Entry, Hurry, Late};
use super::mailbox::{MOST_MESSAGES, Mailbox};
use crate::export::guard::{Panic, Scope};
use crate::export::source::Source;
use crate::{AsyncPlugin, Close, CloseCode, Disconnect, Sender};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How long `on_disconnect` may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// The task, whatever the plugin.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a connection has ended.
pub(super) struct End {
    pub(super) disconnect: Disconnect,
    /// Messages of the client are still handled.
    pub(super) finishing: Option<Ticket>,
    /// Counts the task among those of its plugin, and among those of the runtime.
    pub(super) counted: (Entry<Arc<Late>>, Entry<&'static Late>),
}

/// What the task of a connection shares with those that run it.
pub(super) struct Link {
    pub(super) mailbox: Mailbox<Delivery, Task, End>,
    sender: Sender,
    source: &'static Source,
}

impl Link {
    /// A new connection and its task, which runs when a [`Runner`](super::runner::Runner) does, or
    /// the mailbox says so.
    pub(super) fn open<T: AsyncPlugin>(
        plugin: Arc<T>,
        state: T::Connection,
        sender: Sender,
        source: &'static Source,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            mailbox: Mailbox::new(),
            sender,
            source,
        });
        let task = serve(Arc::clone(&link), plugin, state);
        link.mailbox.start(Box::pin(task));
        link
    }

    /// Runs the task, which the mailbox has given.
    pub(super) fn run(&self, mut task: Task, waker: &Waker) -> Poll<()> {
        match task.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Pending => {
                if let Some(task) = self.mailbox.put_back(task) {
                    self.discard(task);
                }
                Poll::Pending
            }
            Poll::Ready(()) => {
                self.mailbox.finish();
                Poll::Ready(())
            }
        }
    }

    /// Drops a task that has not completed.
    pub(super) fn discard(&self, task: Task) {
        self.scope().run_logged("drop", || drop(task));
    }

    fn scope(&self) -> Scope<'_> {
        Scope::sender(self.source, &self.sender)
    }

    fn release(&self) {
        self.sender.let_go_on();
    }

    fn close(&self, close: &Close) {
        // The result only says whether the connection was closing already, which makes no
        // difference.
        let _ = self.sender.close(close.clone());
        self.mailbox.shut(|| self.release());
    }

    /// Does what a callback has returned.
    fn settle(&self, callback: &str, outcome: Result<Result<(), Close>, Panic>) {
        match outcome {
            Ok(Ok(())) => {}
            // The client has gone. That is no reason to drop the messages that it had sent before.
            Ok(Err(close)) if close.is_of_gone_client() => {}
            Ok(Err(close)) => {
                if let Some(error) = close.error() {
                    self.scope().error(&format!("{callback}: {error}"));
                }
                self.close(&close);
            }
            Err(panic) => {
                self.scope().error(&panic.describe(callback));
                self.close(&CloseCode::INTERNAL_ERROR.into());
            }
        }
    }

    /// Polls a callback until it completes, or until it is cut short (`None`). A panic is the
    /// error.
    async fn call<F: Future + Send>(
        &self,
        callback: &str,
        make: impl FnOnce() -> F + Send,
    ) -> Option<Result<F::Output, Panic>> {
        let mut future = pin!(None);
        if let Err(panic) = self.scope().run(|| future.set(Some(make()))) {
            return Some(Err(panic));
        }
        let outcome = poll_fn(|context| {
            if self.mailbox.is_cut() {
                return Poll::Ready(None);
            }
            let Some(future) = future.as_mut().as_pin_mut() else {
                return Poll::Ready(None);
            };
            match self.scope().run(|| future.poll(context)) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(output)) => Poll::Ready(Some(Ok(output))),
                Err(panic) => Poll::Ready(Some(Err(panic))),
            }
        })
        .await;
        // What a callback holds is the author's, and may log or panic when it is dropped.
        self.scope().run_logged(callback, || future.set(None));
        outcome
    }
}

impl Hurry for Link {
    fn hurry(&self) {
        if let Some(waker) = self.mailbox.hurry() {
            waker.wake();
        }
    }

    fn give_up(&self) {
        if let Some((task, waker)) = self.mailbox.give_up() {
            let _ = self.run(task, &waker);
            // The runtime's task has to learn that it is over, or of its limit.
            waker.wake();
        }
    }
}

/// The life of a connection.
async fn serve<T: AsyncPlugin>(link: Arc<Link>, plugin: Arc<T>, mut state: T::Connection) {
    let mut in_a_row = 0;
    loop {
        let next = poll_fn(|_| {
            let next = link.mailbox.next(|| link.release());
            if next.is_pending() {
                in_a_row = 0;
            }
            next
        });
        let Some(delivery) = next.await else { break };
        if handle(&link, &*plugin, &mut state, delivery)
            .await
            .is_none()
        {
            break;
        }
        in_a_row += 1;
        if in_a_row == MOST_MESSAGES {
            in_a_row = 0;
            // A client that never stops must not keep the thread from other connections.
            tokio::task::yield_now().await;
        }
    }
    let Some(end) = link.mailbox.take_end(Instant::now() + FAREWELL) else {
        // The task gets here only when the connection has ended.
        return;
    };
    drop(end.finishing);
    let farewell = || plugin.on_disconnect(state, end.disconnect);
    match link.call("on_disconnect", farewell).await {
        Some(Ok(())) => {}
        Some(Err(panic)) => link.scope().error(&panic.describe("on_disconnect")),
        None => link.scope().warn(&format!(
            "on_disconnect has not completed within {} seconds, and is dropped",
            FAREWELL.as_secs()
        )),
    }
    link.scope().run_logged("drop", || drop(plugin));
    drop(end.counted);
}

/// Calls the callback for one delivery. `None`: the callback was cancelled, as the connection has
/// ended.
async fn handle<T: AsyncPlugin>(
    link: &Link,
    plugin: &T,
    state: &mut T::Connection,
    delivery: Delivery,
) -> Option<()> {
    let to = &link.sender;
    let message = match delivery {
        Delivery::Message(message) => message,
        other => return handle_other(link, plugin, state, other).await,
    };
    let call = link.call("on_message", || {
        plugin.on_message(state, to, message.lend())
    });
    let outcome = call.await?;
    link.settle("on_message", outcome);
    Some(())
}

/// Calls the callback for what is no message. It is boxed, so that it needs no room in the task of
/// each connection.
fn handle_other<'a, T: AsyncPlugin>(
    link: &'a Link,
    plugin: &'a T,
    state: &'a mut T::Connection,
    delivery: Delivery,
) -> Pin<Box<dyn Future<Output = Option<()>> + Send + 'a>> {
    let to = &link.sender;
    Box::pin(async move {
        if let Delivery::Event(posted) = delivery {
            let event = posted.take()?;
            let call = link.call("on_event", || plugin.on_event(state, to, event));
            let outcome = call.await?;
            link.settle("on_event", outcome);
        } else {
            let call = link.call("on_drain", || plugin.on_drain(state, to));
            let outcome = call.await?;
            link.settle("on_drain", outcome);
        }
        Some(())
    })
}
