//! A link to a server on this machine that can be cut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use anyhow::Result;

/// Listens on a loopback port, and passes everything on to another while it is not cut.
#[derive(Debug)]
pub struct Link {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    /// Nothing comes back from there.
    is_silent: bool,
    streams: Vec<TcpStream>,
}

impl Link {
    /// A link to a port of 127.0.0.1.
    ///
    /// # Errors
    /// No port is free.
    pub fn to(port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let own = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::downgrade(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(state) = shared.upgrade() else {
                    return;
                };
                let mut state = lock(&state);
                // What is dropped is closed.
                if !state.is_cut {
                    let _ = pass_on(stream, port, &mut state, &shared);
                }
            }
        });
        Ok(Self { port: own, state })
    }

    /// Its own port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets through what goes there, and nothing that comes back.
    pub fn silence(&self) {
        lock(&self.state).is_silent = true;
    }

    /// Ends all connections, and lets no new ones through.
    pub fn cut(&self) {
        let mut state = lock(&self.state);
        state.is_cut = true;
        state.is_silent = false;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets new connections through again, and all that comes back.
    pub fn heal(&self) {
        let mut state = lock(&self.state);
        state.is_cut = false;
        state.is_silent = false;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
        let port = self.port;
        let state = std::mem::take(&mut self.state);
        drop(state);
        // The thread sees that this is gone.
        let _ = TcpStream::connect(("127.0.0.1", port));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass_on(
    near: TcpStream,
    port: u16,
    state: &mut State,
    shared: &Weak<Mutex<State>>,
) -> Result<()> {
    let far = TcpStream::connect(("127.0.0.1", port))?;
    let pairs = [
        (near.try_clone()?, far.try_clone()?, false),
        (far.try_clone()?, near.try_clone()?, true),
    ];
    state.streams.extend([near, far]);
    for (mut from, mut to, comes_back) in pairs {
        let state = shared.clone();
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let state = state.upgrade();
                if comes_back && state.is_some_and(|state| lock(&state).is_silent) {
                    continue;
                }
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
