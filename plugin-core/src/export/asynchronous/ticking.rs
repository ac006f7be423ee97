//! The end of a tick that waits.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The leave to go on. It is taken once, for good.
#[derive(Default)]
pub(super) struct Leave(Mutex<State>);

#[derive(Default)]
struct State {
    is_taken: bool,
    /// Wakes the future that has the leave.
    waker: Option<Waker>,
}

impl Leave {
    /// Ends the future that has the leave where it waits, and every later one before it begins.
    pub(super) fn take(&self) {
        let mut state = self.state();
        state.is_taken = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runs a future, one at a time. `None`: the leave was taken before it has completed.
    pub(super) async fn given<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if self.is_taken(context.waker()) {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// If it is not, the waker is woken when it is.
    fn is_taken(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        if !state.is_taken {
            state.waker = Some(waker.clone());
        }
        state.is_taken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
