//! Finds turns that take long.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::doze::Doze;
use super::event_loop::EventLoop;
use crate::httpd::thread::spawn;

/// How often the monitor looks. A turn is found after one to two of these.
const TICK: Duration = Duration::from_millis(5);

/// After so many ticks a turn counts as stuck even if it computes: one second.
pub(super) const LONG: u32 = 200;

/// After so many ticks without a turn the monitor sleeps.
const QUIET_TICKS: u32 = 4;

/// A thread that watches the loops while there are turns, and sleeps while there are none.
pub(super) struct Monitor {
    doze: Doze,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Monitor {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            doze: Doze::new(),
            thread: Mutex::default(),
        })
    }

    pub(super) fn start(self: &Arc<Self>, loops: Vec<Arc<EventLoop>>) -> io::Result<()> {
        let monitor = Arc::clone(self);
        let builder = Builder::new().name("ws-monitor".into());
        *self.thread() = Some(spawn(builder, move || monitor.watch(&loops))?);
        Ok(())
    }

    /// To be called when turns begin.
    pub(super) fn wake_if_asleep(&self) {
        self.doze.wake();
    }

    pub(super) fn stop(&self) {
        self.doze.stop();
        let thread = self.thread().take();
        if let Some(thread) = thread {
            // It only fails if the thread panicked, and then it has ended too.
            let _ = thread.join();
        }
    }

    fn watch(&self, loops: &[Arc<EventLoop>]) {
        let mut seen = vec![(None, 0_u32); loops.len()];
        let mut quiet = 0;
        while self.wait(loops, quiet >= QUIET_TICKS) {
            quiet += 1;
            for (event_loop, (seen, ticks)) in loops.iter().zip(&mut seen) {
                let turn = event_loop.current_turn();
                *ticks = if turn == *seen {
                    ticks.saturating_add(1)
                } else {
                    0
                };
                *seen = turn;
                if let Some(turn) = turn.filter(|_| *ticks > 0) {
                    event_loop.take_over(turn, *ticks);
                }
                if turn.is_some() || event_loop.has_waiting_jobs() {
                    quiet = 0;
                }
            }
        }
    }

    /// Waits for the next tick, or until there are turns. Returns whether to go on.
    fn wait(&self, loops: &[Arc<EventLoop>], is_quiet: bool) -> bool {
        if is_quiet {
            let is_busy = |event_loop: &Arc<EventLoop>| {
                event_loop.current_turn().is_some() || event_loop.has_waiting_jobs()
            };
            self.doze.sleep(|| loops.iter().any(is_busy));
        }
        self.doze.pause(TICK)
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a thread of this process sleeps, as far as the system tells (proc_pid_stat(5)).
pub(super) fn is_blocked(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // The state follows the name, which may contain anything.
    let state = stat
        .as_deref()
        .ok()
        .and_then(|stat| stat.rsplit_once(')'))
        .and_then(|(_, fields)| fields.trim_start().chars().next());
    state != Some('R')
}

#[cfg(test)]
mod tests {
    use super::is_blocked;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    #[test]
    fn a_thread_that_waits_is_blocked_and_one_that_computes_is_not() {
        let this = || rustix::thread::gettid().as_raw_nonzero().get();
        assert!(!is_blocked(this()));
        let (number, numbers) = channel();
        let (release, released) = channel::<()>();
        let thread = std::thread::spawn(move || {
            number.send(this()).unwrap();
            released.recv()
        });
        let waiting = numbers.recv().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_blocked(waiting) {
            assert!(Instant::now() < deadline);
        }
        release.send(()).unwrap();
        thread.join().unwrap().unwrap();
    }
}
