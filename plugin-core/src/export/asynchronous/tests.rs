use super::finishing::{Dropped, Finishing, MOST_CONNECTIONS, Ticket};
use super::late::Hurry;
use super::leave::Leave;
use super::mailbox::{Content, Mailbox, Pushed, Rest, Taken};
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const MIB: usize = 1024 * 1024;

/// Notes that it was hurried.
#[derive(Default)]
struct Task(AtomicBool);

impl Hurry for Task {
    fn hurry(&self) {
        self.0.store(true, SeqCst);
    }

    fn give_up(&self) {
        self.hurry();
    }
}

fn finishing() -> &'static Finishing {
    Box::leak(Box::new(Finishing::new()))
}

/// Has a connection leave so many bytes. Returns its task, too.
fn enter(finishing: &'static Finishing, bytes: usize) -> (Arc<Task>, Ticket, bool) {
    let task = Arc::new(Task::default());
    let weak: Weak<Task> = Arc::downgrade(&task);
    let (ticket, dropped) = finishing.enter(bytes, weak);
    let Dropped { is_to_log, .. } = dropped;
    dropped.give_up();
    (task, ticket, is_to_log)
}

#[test]
fn the_oldest_of_too_many_connections_give_way() {
    let finishing = finishing();
    let mut entered: Vec<_> = (0..MOST_CONNECTIONS).map(|_| enter(finishing, 1)).collect();
    let count = |entered: &[(Arc<Task>, Ticket, bool)]| {
        let hurried = entered.iter().take_while(|(task, ..)| task.0.load(SeqCst));
        let count = hurried.count();
        let others = entered.iter().skip(count);
        assert!(others.into_iter().all(|(task, ..)| !task.0.load(SeqCst)));
        count
    };
    assert_eq!(count(&entered), 0);
    entered.push(enter(finishing, 1));
    entered.push(enter(finishing, 1));
    assert_eq!(count(&entered), 2);
    let told: Vec<_> = entered.iter().map(|(.., told)| *told).collect();
    assert_eq!(told.iter().filter(|told| **told).count(), 1);
    assert!(told[MOST_CONNECTIONS]);
    // Those that complete make room.
    entered.drain(100..110);
    (0..10).for_each(|_| entered.push(enter(finishing, 1)));
    assert_eq!(count(&entered), 2);
}

#[test]
fn of_too_many_bytes_the_longest_messages_give_way() {
    let finishing = finishing();
    let is_given_up = |entered: &(Arc<Task>, Ticket, bool)| entered.0.0.load(SeqCst);
    let first = enter(finishing, 6 * MIB);
    let second = enter(finishing, 10 * MIB);
    assert!(!is_given_up(&first) && !is_given_up(&second));
    let third = enter(finishing, 1);
    assert!(is_given_up(&second) && !is_given_up(&first) && !is_given_up(&third));
    // One that is too long costs the others nothing.
    let large = enter(finishing, 100 * MIB);
    assert!(is_given_up(&large) && !is_given_up(&first) && !is_given_up(&third));
    // Of several, the oldest.
    let fourth = enter(finishing, 6 * MIB);
    let fifth = enter(finishing, 6 * MIB);
    assert!(is_given_up(&first) && !is_given_up(&fourth) && !is_given_up(&fifth));
    drop((first, second, third, large, fourth, fifth));
    let alone = enter(finishing, 100 * MIB);
    assert!(!is_given_up(&alone) && !alone.2);
}

struct Word;

impl Content for Word {
    fn weight(&self) -> usize {
        4
    }

    fn is_message(&self) -> bool {
        true
    }
}

/// A mailbox whose task handles one message, while another one waits.
fn busy() -> Mailbox<Word, (), &'static str> {
    let mailbox = Mailbox::new();
    mailbox.start(());
    assert!(!mailbox.has_rest());
    for _ in 0..2 {
        assert!(matches!(mailbox.push(Word, || true), Pushed::Queued));
    }
    assert!(matches!(mailbox.take(Waker::noop()), Taken::Run(())));
    assert!(matches!(mailbox.next(|| {}), Poll::Ready(Some(Word))));
    assert!(mailbox.put_back(()).is_none() && mailbox.has_rest());
    mailbox
}

#[test]
fn a_task_that_is_hurried_before_the_end_still_learns_how_the_connection_ends() {
    let limit = Instant::now() + Duration::from_secs(5);
    for is_hurried_first in [true, false] {
        let mailbox = busy();
        if is_hurried_first {
            assert!(mailbox.hurry().is_none());
            assert!(!mailbox.is_cut(), "the end is not known yet");
        }
        let task = mailbox.end("goodbye", Rest::Handled, limit);
        assert!(task.is_some());
        assert_eq!(mailbox.is_cut(), is_hurried_first);
        if !is_hurried_first {
            assert!(mailbox.hurry().is_some() && mailbox.is_cut());
        }
        assert_eq!(mailbox.take_end(limit), Some("goodbye"));
        assert!(!mailbox.is_cut() && mailbox.hurry().is_none());
    }
}

/// Notes that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_future_ends_when_its_leave_is_taken_and_none_begins_after_that() {
    let leave = Leave::default();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let done = pin!(leave.given(async { "done" }));
    assert_eq!(done.poll(&mut context), Poll::Ready(Some("done")));
    let others: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
    let mut all: Vec<_> = others
        .iter()
        .map(|_| Box::pin(leave.given(pending::<()>())))
        .collect();
    for (future, woken) in all.iter_mut().zip(&others) {
        let waker = Waker::from(Arc::clone(woken));
        for _ in 0..2 {
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
    }
    drop(all.pop());
    leave.take();
    let are_woken: Vec<_> = others.iter().map(|woken| woken.0.load(SeqCst)).collect();
    assert_eq!(are_woken, [true, true, false]);
    for future in &mut all {
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(None));
    }
    assert!(!woken.0.load(SeqCst));
    let late = pin!(leave.given(async { panic!("it begins") }));
    assert!(matches!(late.poll(&mut context), Poll::Ready(None::<()>)));
}
