//! A thread to wait for what others publish.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use super::lock::lock;
use crate::httpd::commons::Commons;
use crate::httpd::log::{Level, log_server};
use crate::httpd::thread::spawn_lasting;

/// The thread of a child that waits for what others publish.
#[derive(Default)]
pub(super) struct Waiter {
    thread: Mutex<Option<JoinHandle<()>>>,
    is_running: AtomicBool,
    is_stopping: AtomicBool,
}

impl Waiter {
    /// Starts the thread, which runs `body`.
    pub(super) fn start(&self, body: impl FnOnce() + Send + 'static) {
        match spawn_lasting(Builder::new().name("ws-topics".into()), body) {
            Ok(thread) => {
                self.is_running.store(true, Ordering::Release);
                *lock(&self.thread) = Some(thread);
            }
            Err(error) => {
                let text = format!(
                    "this process gets what others publish only when it publishes itself: no \
                     thread: {error}"
                );
                log_server(Level::Error, &text);
            }
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    pub(super) fn disable(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self, commons: &Commons) {
        self.disable();
        commons.tell_own();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // It only fails if the thread panicked, and then it has ended too.
            let _ = thread.join();
        }
    }
}
