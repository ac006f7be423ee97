//! The jobs of the pool's threads.

use std::sync::Arc;
use std::time::Instant;

use super::driven::Driven;
use super::event_loop::{EventLoop, Workers};
use super::handshakes::{Handshake, Handshakes};
use super::pool::{self, Pool};
use super::scratch::Scratch;
use crate::httpd::guard::guard;

/// A job for a thread of the pool.
pub(super) enum Job<C> {
    /// A turn of a connection whose plugin blocks.
    Turn(Arc<C>),
    /// A loop to run, until another thread takes it over.
    Loop(Arc<EventLoop<C>>),
    /// A handshake whose plugin may wait.
    Handshake(Handshake, Arc<Handshakes>),
}

impl<C: Driven> pool::Job for Job<C> {
    type Scratch = Scratch;

    fn is_urgent(&self) -> bool {
        matches!(self, Self::Loop(_))
    }

    fn run(self, scratch: &mut Scratch) -> Option<Self> {
        match self {
            Self::Loop(event_loop) => event_loop.run(scratch).map(Self::Loop),
            Self::Turn(connection) => {
                let (started, unblocked) = (Instant::now(), scratch.unblocked());
                let ended = connection.turn(&mut scratch.buffer, started, false);
                if let Some(ended) = ended {
                    let unblocked = scratch.unblocked().saturating_sub(unblocked);
                    let blocked = (ended - started).saturating_sub(unblocked);
                    connection.note_blocked(blocked);
                }
                None
            }
            Self::Handshake(handshake, all) => {
                let is_stopping = all.are_stopping();
                guard("an opening handshake", (), || handshake(is_stopping));
                let next = all.next();
                next.map(|next| Self::Handshake(next, all))
            }
        }
    }
}

impl<C: Driven> Workers<C> for Arc<Pool<Job<C>>> {
    fn take_turn(&self, connection: Arc<C>) {
        self.submit(Job::Turn(connection));
    }

    fn run(&self, event_loop: Arc<EventLoop<C>>) {
        self.submit(Job::Loop(event_loop));
    }

    fn are_all_there(&self) -> bool {
        self.is_full()
    }

    fn are_too_few(&self) -> bool {
        self.ensure_threads()
    }
}
