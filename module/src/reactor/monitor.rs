//! Finds turns that take long.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::doze::Doze;
use super::driven::Driven;
use super::event_loop::EventLoop;
use crate::httpd::guard::guard;
use crate::httpd::thread::spawn;

/// How often the monitor looks. It finds a long turn after one to two ticks.
const TICK: Duration = Duration::from_millis(5);

/// After this many ticks without a turn the monitor sleeps.
const QUIET_TICKS: u32 = 4;

/// A thread that watches the loops while turns are taken, and sleeps while none are.
pub(super) struct Monitor {
    doze: Arc<Doze>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the monitor has seen of a loop.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    /// The number of the current turn.
    turn: Option<u64>,
    /// For how many ticks the monitor has seen this turn.
    ticks: u32,
    /// The processor time of the loop's thread when the monitor first saw this turn.
    worked: Option<Duration>,
}

/// Looks at a loop, once in each tick. Returns whether there is anything to watch.
fn look<C: Driven>(event_loop: &Arc<EventLoop<C>>, sight: &mut Sight) -> bool {
    let turn = event_loop.current_turn();
    let worked = turn.and_then(|_| event_loop.worked());
    if let Some(turn) = turn.filter(|_| sight.turn == turn) {
        sight.ticks = sight.ticks.saturating_add(1);
        let worked = worked.zip(sight.worked);
        let is_computing = worked.is_none_or(|(now, then)| now.saturating_sub(then) >= TICK / 2);
        event_loop.take_over(turn, sight.ticks, is_computing);
    } else {
        *sight = Sight {
            turn,
            ticks: 0,
            worked,
        };
    }
    turn.is_some() || event_loop.has_waiting_jobs()
}

impl Monitor {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            doze: Arc::new(Doze::new()),
            thread: Mutex::default(),
        })
    }

    pub(super) fn start<C: Driven>(
        self: &Arc<Self>,
        loops: Vec<Arc<EventLoop<C>>>,
    ) -> io::Result<()> {
        let monitor = Arc::clone(self);
        let builder = Builder::new().name("ws-monitor".into());
        *self.thread() = Some(spawn(builder, move || monitor.watch(&loops))?);
        Ok(())
    }

    /// The monitor's sleep, which the loops end when turns begin.
    pub(super) fn doze(&self) -> Arc<Doze> {
        Arc::clone(&self.doze)
    }

    pub(super) fn stop(&self) {
        self.doze.stop();
        let thread = self.thread().take();
        if let Some(thread) = thread {
            // A join fails only if the thread panicked, and then it has ended too.
            let _ = thread.join();
        }
    }

    fn watch<C: Driven>(&self, loops: &[Arc<EventLoop<C>>]) {
        let mut sights = vec![Sight::default(); loops.len()];
        let mut quiet = 0;
        while self.wait(loops, quiet >= QUIET_TICKS) {
            quiet += 1;
            for (event_loop, sight) in loops.iter().zip(&mut sights) {
                // A panic must not leave the loops without a monitor.
                let is_busy = guard("the monitor", true, || look(event_loop, sight));
                if is_busy {
                    quiet = 0;
                }
                if sight.ticks > 0 {
                    // The other loops need not wait for the turn's end to write what it sent to
                    // their connections.
                    loops.iter().for_each(|other| other.wake_if_waiting());
                }
            }
        }
    }

    /// Waits for the next tick. If `is_quiet`, first sleeps until there are turns. Returns whether
    /// to go on.
    fn wait<C: Driven>(&self, loops: &[Arc<EventLoop<C>>], is_quiet: bool) -> bool {
        if is_quiet {
            let is_busy = |event_loop: &Arc<EventLoop<C>>| {
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
