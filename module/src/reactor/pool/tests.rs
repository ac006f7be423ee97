use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Job, Pool};
use crate::reactor::Threads;

/// What a thread has to do.
enum Task {
    /// Waits until the other end is dropped.
    Block(Receiver<()>),
    /// Computes until the test ends it.
    Compute(Arc<AtomicUsize>),
    Panic,
    Tell(Sender<thread::ThreadId>),
    /// Hands on another job, as a loop does that goes on.
    Next(Box<Self>),
}

impl Job for Task {
    type Scratch = ();

    fn is_urgent(&self) -> bool {
        matches!(self, Self::Next(_))
    }

    fn run(self, (): &mut ()) -> Option<Self> {
        match self {
            Self::Block(released) => drop(released.recv()),
            Self::Compute(end) => while end.load(Ordering::Relaxed) == 0 {},
            Self::Panic => panic!("a job panics"),
            Self::Tell(sender) => drop(sender.send(thread::current().id())),
            Self::Next(next) => return Some(*next),
        }
        None
    }
}

fn pool(min: usize, max: usize) -> Arc<Pool<Task>> {
    Pool::new(Threads { min, max })
}

fn ends(pool: &Pool<Task>) -> bool {
    pool.stop(Some(Instant::now() + Duration::from_secs(20)))
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_job_that_panics_costs_no_thread() {
    let pool = pool(1, 1);
    let (sender, threads) = channel();
    pool.submit(Task::Tell(sender.clone()));
    let first = threads.recv().unwrap();
    for _ in 0..10 {
        pool.submit(Task::Panic);
    }
    pool.submit(Task::Tell(sender));
    let wait = Duration::from_secs(20);
    assert_eq!(threads.recv_timeout(wait).unwrap(), first);
    assert_eq!(pool.running(), 1);
    assert!(ends(&pool), "no thread counts as stuck");
    assert_eq!(pool.running(), 0);
}

#[test]
fn what_a_job_gives_back_is_done_next() {
    let pool = pool(1, 1);
    let (sender, threads) = channel();
    pool.submit(Task::Next(Box::new(Task::Next(Box::new(Task::Tell(
        sender,
    ))))));
    assert!(threads.recv_timeout(Duration::from_secs(20)).is_ok());
    assert!(ends(&pool));
}

#[test]
fn jobs_that_block_get_as_many_threads_as_there_may_be() {
    let pool = pool(1, 5);
    let mut blocked = Vec::new();
    for _ in 0..8 {
        let (release, released) = channel();
        pool.submit(Task::Block(released));
        blocked.push(release);
    }
    wait_until(|| {
        pool.ensure_threads();
        pool.running() == 5
    });
    drop(blocked);
    assert!(ends(&pool));
}

#[test]
fn jobs_that_compute_get_no_more_threads_than_help() {
    let pool = pool(1, 50);
    let end = Arc::new(AtomicUsize::new(0));
    for _ in 0..pool.processors {
        pool.submit(Task::Compute(Arc::clone(&end)));
    }
    wait_until(|| pool.lock().busy.len() == pool.processors && pool.lock().idle == 0);
    let (sender, threads) = channel();
    let others = (0..20).map(|_| Task::Tell(sender.clone()));
    pool.lock().jobs.extend(others);
    for _ in 0..3 {
        assert!(pool.ensure_threads(), "they wait");
        assert_eq!(pool.running(), pool.processors);
    }
    end.store(1, Ordering::Relaxed);
    for _ in 0..20 {
        threads.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    assert!(ends(&pool));
}

#[test]
fn a_pool_that_ends_forgets_what_no_thread_was_free_for() {
    let pool = pool(0, 0);
    let (sender, threads) = channel();
    pool.submit(Task::Tell(sender));
    assert!(ends(&pool));
    assert!(threads.recv().is_err());
}
