//! What clients leave that have closed their connections.

use crate::{text, until};
use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use websocket_plugin::testing::{Host, Request, unattached_log};
use websocket_plugin::{
    AsyncPlugin, Close, CloseCode, Disconnect, Message, Sender, websocket_plugin,
};

/// Never completes a callback.
#[derive(Default)]
struct Crowd;

/// The numbers of the connections of `Crowd` whose callbacks were cancelled, and that have ended.
static CANCELLED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static GONE: AtomicUsize = AtomicUsize::new(0);

#[websocket_plugin]
impl AsyncPlugin for Crowd {
    type Connection = ();

    async fn on_message(&self, (): &mut (), _: &Sender, m: Message<'_>) -> Result<(), Close> {
        struct Cancelled(usize);
        impl Drop for Cancelled {
            fn drop(&mut self) {
                CANCELLED.lock().unwrap().push(self.0);
            }
        }
        let number = m.as_text().and_then(|text| text.split(' ').next());
        let _cancelled = Cancelled(number.ok_or("no number")?.parse()?);
        pending().await
    }

    async fn on_disconnect(&self, (): (), _: Disconnect) {
        GONE.fetch_add(1, SeqCst);
    }
}

#[test]
fn clients_that_have_closed_leave_a_limited_number_of_messages() {
    const MOST: usize = 256;
    let host = Host::load::<Crowd>();
    let began = Instant::now();
    let leave = |text: String| {
        let mut client = host.connect(Request::new()).unwrap();
        client.send(text);
        client.close(CloseCode::NORMAL);
    };
    (0..MOST + 10).for_each(|number| leave(number.to_string()));
    until("the first ten are gone", || GONE.load(SeqCst) == 10);
    let mut cancelled = CANCELLED.lock().unwrap().clone();
    cancelled.sort_unstable();
    assert_eq!(cancelled, (0..10).collect::<Vec<_>>());
    // A long message costs no other client its own.
    leave(format!("1000 {}", "x".repeat(20 << 20)));
    until("that client and the oldest are gone", || {
        GONE.load(SeqCst) == 12
    });
    let mut cancelled = CANCELLED.lock().unwrap().clone();
    cancelled.retain(|number| *number != 1000);
    cancelled.sort_unstable();
    assert_eq!(cancelled, (0..11).collect::<Vec<_>>());
    assert!(began.elapsed() < Duration::from_secs(5), "the usual limit");
    let is_told = |line: &&str| line.contains("messages of clients that have closed");
    let log: Vec<_> = unattached_log().into_iter().map(|line| line.text).collect();
    assert_eq!(log.iter().map(String::as_str).filter(is_told).count(), 1);
}

/// Needs leave to forget a client.
#[derive(Default)]
struct Registry;

static LEAVE: Semaphore = Semaphore::const_new(0);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Registry {
    async fn on_message(&self, (): &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }

    async fn on_disconnect(&self, (): (), _: Disconnect) {
        let _ = LEAVE.acquire().await;
    }
}

#[test]
fn clients_are_refused_while_too_many_others_are_not_forgotten() {
    const MOST: usize = 8192;
    let host = Host::load::<Registry>();
    let began = Instant::now();
    for _ in 0..MOST {
        drop(host.connect(Request::new()).unwrap());
    }
    assert_eq!(host.connect(Request::new()).err(), Some(503));
    assert_eq!(host.connect(Request::new()).err(), Some(503));
    assert!(began.elapsed() < Duration::from_secs(10), "the usual limit");
    LEAVE.add_permits(1);
    until("a client may connect again", || {
        host.connect(Request::new()).is_ok()
    });
    let is_told = |line: &&str| line.contains("on_disconnect of 8192 others has not completed");
    let log: Vec<_> = unattached_log().into_iter().map(|line| line.text).collect();
    assert_eq!(log.iter().map(String::as_str).filter(is_told).count(), 1);
}

/// Never completes the callbacks of long messages, and can block its runtime.
#[derive(Default)]
struct Busy;

static IS_BLOCKED: AtomicBool = AtomicBool::new(false);
static IS_OVER: AtomicBool = AtomicBool::new(false);
static FREED: AtomicUsize = AtomicUsize::new(0);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Busy {
    async fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        struct Freed;
        impl Drop for Freed {
            fn drop(&mut self) {
                FREED.fetch_add(1, SeqCst);
            }
        }
        match m.as_text() {
            Some("where?") => return Ok(to.send(format!("{:?}", thread::current().id()))?),
            Some("block") => {
                tokio::spawn(async {
                    IS_BLOCKED.store(true, SeqCst);
                    until("the test is over", || IS_OVER.load(SeqCst));
                });
                return Ok(());
            }
            _ => {}
        }
        let _freed = Freed;
        pending().await
    }
}

#[test]
fn what_gives_way_is_freed_although_the_runtime_is_blocked() {
    let host = Host::load::<Busy>();
    let here = text(&format!("{:?}", thread::current().id()));
    let [mut blocking, mut first, mut second] = [(); 3].map(|()| {
        let mut client = host.connect(Request::new()).unwrap();
        until("the runtime has taken up the connection", || {
            client.send("where?");
            client.receive() == here
        });
        client
    });
    blocking.send("block");
    until("the runtime is blocked", || IS_BLOCKED.load(SeqCst));
    let long = vec![0; 10 << 20];
    first.send(&long);
    first.close(CloseCode::NORMAL);
    assert_eq!(FREED.load(SeqCst), 0);
    second.send(&long);
    second.close(CloseCode::NORMAL);
    assert_eq!(FREED.load(SeqCst), 1);
    IS_OVER.store(true, SeqCst);
}
