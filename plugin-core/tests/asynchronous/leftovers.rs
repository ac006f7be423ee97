//! What clients leave that have closed their connections.

use crate::until;
use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
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
    until("that client and the oldest are gone", || GONE.load(SeqCst) == 12);
    let mut cancelled = CANCELLED.lock().unwrap().clone();
    cancelled.retain(|number| *number != 1000);
    cancelled.sort_unstable();
    assert_eq!(cancelled, (0..11).collect::<Vec<_>>());
    assert!(began.elapsed() < Duration::from_secs(5), "the usual limit");
    let is_told = |line: &&str| line.contains("messages of clients that have closed");
    let log: Vec<_> = unattached_log().into_iter().map(|line| line.text).collect();
    assert_eq!(log.iter().map(String::as_str).filter(is_told).count(), 1);
}
