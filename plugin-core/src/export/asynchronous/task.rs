//! The task of one connection: it calls the plugin's callbacks, one after the other.

use super::mailbox::{MOST_MESSAGES, Mailbox, Taken, Weighed};
use super::open::{Entry, Open};
use crate::export::guard::{Panic, Scope};
use crate::export::source::Source;
use crate::{AsyncPlugin, Close, CloseCode, Disconnect, Message, Sender};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The task, whatever the plugin.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Counts the task among those of its plugin, and among those of the runtime.
pub(super) type Counted = (Entry<Arc<Open>>, Entry<&'static Open>);

/// What the task of a connection shares with those that run it.
pub(super) struct Link {
    pub(super) mailbox: Mailbox<Owned, Task, Disconnect>,
    sender: Sender,
    source: &'static Source,
}

/// A message that waits.
pub(super) enum Owned {
    Text(String),
    Binary(Vec<u8>),
}

impl Owned {
    fn lend(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

impl Weighed for Owned {
    fn weight(&self) -> usize {
        self.lend().len()
    }
}

impl Link {
    /// A new connection and its task, which runs when a [`Runner`] does, or the mailbox says so.
    pub(super) fn open<T: AsyncPlugin>(
        plugin: Arc<T>,
        state: T::Connection,
        sender: Sender,
        source: &'static Source,
        open: Counted,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            mailbox: Mailbox::new(),
            sender,
            source,
        });
        let task = serve(Arc::clone(&link), plugin, state, open);
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
    fn discard(&self, task: Task) {
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

    /// Polls a callback until it completes, or until `is_over`. A panic is the error.
    async fn call<F: Future + Send>(
        &self,
        callback: &str,
        make: impl FnOnce() -> F + Send,
        is_over: impl Fn() -> bool + Send,
    ) -> Option<Result<F::Output, Panic>> {
        let mut future = pin!(None);
        if let Err(panic) = self.scope().run(|| future.set(Some(make()))) {
            return Some(Err(panic));
        }
        let outcome = poll_fn(|context| {
            if is_over() {
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

/// The life of a connection.
async fn serve<T: AsyncPlugin>(
    link: Arc<Link>,
    plugin: Arc<T>,
    mut state: T::Connection,
    open: Counted,
) {
    let mut in_a_row = 0;
    loop {
        let next = poll_fn(|_| {
            let next = link.mailbox.next(|| link.release());
            if next.is_pending() {
                in_a_row = 0;
            }
            next
        });
        let Some(message) = next.await else { break };
        let outcome = link
            .call(
                "on_message",
                || plugin.on_message(&mut state, &link.sender, message.lend()),
                || link.mailbox.has_ended(),
            )
            .await;
        match outcome {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(close))) => {
                if let Some(error) = close.error() {
                    link.scope().error(&format!("on_message: {error}"));
                }
                link.close(&close);
            }
            Some(Err(panic)) => {
                link.scope().error(&panic.describe("on_message"));
                link.close(&CloseCode::INTERNAL_ERROR.into());
            }
            None => break,
        }
        in_a_row += 1;
        if in_a_row == MOST_MESSAGES {
            in_a_row = 0;
            // A client that never stops must not keep the thread from other connections.
            tokio::task::yield_now().await;
        }
    }
    let disconnect = link.mailbox.take_end().unwrap_or_else(Disconnect::unknown);
    let outcome = link
        .call(
            "on_disconnect",
            || plugin.on_disconnect(state, disconnect),
            || false,
        )
        .await;
    if let Some(Err(panic)) = outcome {
        link.scope().error(&panic.describe("on_disconnect"));
    }
    link.scope().run_logged("drop", || drop(plugin));
    drop(open);
}

/// The runtime's task for a connection: it runs the task in the mailbox whenever that was woken.
pub(super) struct Runner(pub(super) Arc<Link>);

impl Future for Runner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.0.mailbox.take(context.waker()) {
            Taken::Run(task) => self.0.run(task, context.waker()),
            Taken::Busy => Poll::Pending,
            Taken::Finished => Poll::Ready(()),
        }
    }
}

impl Drop for Runner {
    /// The task has completed, or the runtime ends and it never will.
    fn drop(&mut self) {
        if let Some(task) = self.0.mailbox.finish() {
            self.0.discard(task);
        }
    }
}
