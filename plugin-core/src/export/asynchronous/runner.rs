//! The runtime's part in a connection.

use super::mailbox::Taken;
use super::task::Link;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// The runtime's task for a connection: it runs the task in the mailbox whenever that was woken,
/// and cuts it short when its time is over.
pub(super) struct Runner {
    link: Arc<Link>,
    /// Set when the task has a limit.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Runner {
    pub(super) const fn new(link: Arc<Link>) -> Self {
        Self { link, timer: None }
    }

    /// Waits for the limit. Ready: it has passed.
    fn poll_limit(&mut self, limit: Instant, context: &mut Context<'_>) -> Poll<()> {
        let limit = limit.into();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(limit)));
        if timer.deadline() != limit {
            timer.as_mut().reset(limit);
        }
        timer.as_mut().poll(context)
    }
}

impl Future for Runner {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let waker = context.waker();
            match self.link.mailbox.take(waker) {
                Taken::Run(task) => {
                    if self.link.run(task, waker).is_ready() {
                        return Poll::Ready(());
                    }
                }
                Taken::Busy => {}
                Taken::Finished => return Poll::Ready(()),
            }
            let Some(limit) = self.link.mailbox.limit() else {
                return Poll::Pending;
            };
            if self.poll_limit(limit, context).is_pending() {
                return Poll::Pending;
            }
            self.link.mailbox.cut_if_late(Instant::now());
        }
    }
}

impl Drop for Runner {
    /// The task has completed, or the runtime ends and it never will.
    fn drop(&mut self) {
        if let Some(task) = self.link.mailbox.finish() {
            self.link.discard(task);
        }
    }
}
