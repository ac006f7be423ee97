//! The end of ticks and handshakes that wait.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The leave to go on. It is taken once, for good.
#[derive(Default)]
pub(super) struct Leave(Mutex<State>);

#[derive(Default)]
struct State {
    is_taken: bool,
    /// How many futures have asked for the leave.
    count: u64,
    /// Wake the futures that have the leave. Each future has a number.
    wakers: BTreeMap<u64, Waker>,
}

/// A future that has the leave.
struct Holder<'a> {
    leave: &'a Leave,
    number: u64,
}

impl Leave {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State {
            is_taken: false,
            count: 0,
            wakers: BTreeMap::new(),
        }))
    }

    /// Ends the futures that have the leave where they wait, and every later one before it begins.
    pub(super) fn take(&self) {
        let mut state = self.state();
        state.is_taken = true;
        let wakers = mem::take(&mut state.wakers);
        drop(state);
        for waker in wakers.into_values() {
            waker.wake();
        }
    }

    /// Runs a future. `None`: the leave was taken before it has completed.
    pub(super) async fn given<F: Future>(&self, future: F) -> Option<F::Output> {
        let holder = self.holder();
        let mut future = pin!(future);
        poll_fn(|context| {
            if holder.is_taken(context.waker()) {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }

    fn holder(&self) -> Holder<'_> {
        let mut state = self.state();
        state.count += 1;
        Holder {
            leave: self,
            number: state.count,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder<'_> {
    /// If it is not, the waker is woken when it is.
    fn is_taken(&self, waker: &Waker) -> bool {
        let mut state = self.leave.state();
        if !state.is_taken {
            state.wakers.insert(self.number, waker.clone());
        }
        state.is_taken
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.leave.state().wakers.remove(&self.number);
    }
}
