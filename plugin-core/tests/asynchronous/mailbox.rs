//! Full mailboxes, and the C module.

use crate::talk::Talk;
use crate::{text, until};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;
use websocket_plugin::testing::{Host, Request};
use websocket_plugin::{
    AsyncPlugin, Close, Message, OptionError, Options, Sender, websocket_plugin,
};

#[test]
fn the_c_module_can_load_it() {
    let host = Host::c_module::<Talk>().unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("wait");
    assert_eq!(client.receive(), text("wait"));
}

/// A plugin whose callbacks need leave. It counts itself.
struct Held;

static HELD: AtomicUsize = AtomicUsize::new(0);
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
static LEAVE: Semaphore = Semaphore::const_new(0);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Held {
    fn configure(_: &Options) -> Result<Self, OptionError> {
        HELD.fetch_add(1, SeqCst);
        Ok(Self)
    }

    async fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        HAS_BEGUN.store(true, SeqCst);
        LEAVE.acquire().await?.forget();
        Ok(to.send(m)?)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(1, SeqCst);
    }
}

#[test]
fn a_full_mailbox_pauses_its_client_and_loses_nothing() {
    const COUNT: usize = 500;
    let host = Host::load::<Held>();
    let mut client = host.connect(Request::new()).unwrap();
    // One is with the callback, and 32 are in the mailbox.
    for number in 0..33 {
        assert!(!client.is_paused(), "before {number}");
        client.send(number.to_string());
        until("the callback has begun", || {
            number > 0 || HAS_BEGUN.load(SeqCst)
        });
    }
    assert!(client.is_paused());
    for number in 33..COUNT {
        client.send(number.to_string());
    }
    LEAVE.add_permits(COUNT);
    for number in 0..COUNT {
        assert_eq!(client.receive(), text(&number.to_string()));
    }
    assert!(!client.is_paused());
    drop(client);
    drop(host);
    assert_eq!(HELD.load(SeqCst), 0);
}

#[test]
fn a_full_mailbox_blocks_the_c_module_and_loses_nothing() {
    const COUNT: usize = 500;
    let host = Host::c_module::<HeldByC>().unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    let (sent, told) = mpsc::channel();
    thread::scope(|scope| {
        let client = &mut client;
        scope.spawn(move || {
            for number in 0..COUNT {
                client.send(number.to_string());
                let _ = sent.send(number);
            }
            for number in 0..COUNT {
                assert_eq!(client.receive(), text(&number.to_string()));
            }
        });
        // The last one fills the mailbox, so its callback has not returned.
        let more = Duration::from_millis(200);
        let last = std::iter::from_fn(|| told.recv_timeout(more).ok()).last();
        LEAVE_BY_C.add_permits(COUNT);
        assert!(last <= Some(32), "{last:?} were taken");
    });
}

/// The same for the C module, with callbacks of its own.
#[derive(Default)]
struct HeldByC;

static LEAVE_BY_C: Semaphore = Semaphore::const_new(0);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for HeldByC {
    async fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        LEAVE_BY_C.acquire().await?.forget();
        Ok(to.send(m)?)
    }
}
