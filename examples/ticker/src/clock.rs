//! The thread, and the clients to which it sends.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use websocket_plugin::Sender;

pub(crate) struct Clock {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    interval: Duration,
    state: Mutex<State>,
    stop: Condvar,
}

#[derive(Default)]
struct State {
    clients: Vec<Sender>,
    stopping: bool,
}

impl Clock {
    /// A clock whose thread does not run yet.
    pub(crate) fn new(interval: Duration) -> Self {
        let shared = Shared {
            interval,
            state: Mutex::default(),
            stop: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            thread: Mutex::new(None),
        }
    }

    /// Adds a client. The first one starts the thread.
    pub(crate) fn add(&self, client: Sender) -> io::Result<()> {
        lock(&self.shared.state).clients.push(client);
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            *thread = Some(thread::Builder::new().spawn(move || shared.run())?);
        }
        Ok(())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.stop.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // If the thread panicked, the panic hook has already written that to stderr.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        log::debug!("the clock starts");
        let started = Instant::now();
        while let Some(clients) = self.wait() {
            let text = format!("{:.3}", started.elapsed().as_secs_f64());
            for client in clients {
                // The next tick removes clients that have left.
                let _ = client.send(&text);
            }
        }
    }

    /// Waits for one interval and returns the clients, or `None` when the clock must stop. It does
    /// not keep the lock: a slow client delays the clock, but not other clients that connect.
    fn wait(&self) -> Option<Vec<Sender>> {
        let running = |state: &mut State| !state.stopping;
        let state = lock(&self.state);
        let waited = self.stop.wait_timeout_while(state, self.interval, running);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.clients.retain(Sender::is_open);
        (!state.stopping).then(|| state.clients.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
