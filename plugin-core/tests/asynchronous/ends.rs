//! The end of connections, and of the plugin.

use crate::talk::{Talk, done};
use crate::until;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use websocket_plugin::testing::{Host, Request, unattached_log};
use websocket_plugin::{
    AsyncPlugin, Close, CloseCode, Disconnect, Handshake, Message, Rejection, Sender,
    websocket_plugin,
};

#[test]
fn a_callback_that_waits_is_cancelled_before_on_disconnect() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/cancel")).unwrap();
    client.send("forever");
    client.send("dropped with the mailbox");
    until("it waits", || done("/cancel") == ["waiting"]);
    client.close(CloseCode::NORMAL);
    drop(host);
    assert_eq!(done("/cancel"), ["waiting", "cancelled", "disconnected"]);
}

#[test]
fn what_a_client_has_sent_before_it_closed_is_handled() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/finish")).unwrap();
    for _ in 0..20 {
        client.send("note");
    }
    client.close(CloseCode::NORMAL);
    until("on_disconnect", || done("/finish").len() == 21);
    assert_eq!(done("/finish")[..20], ["noted"; 20]);
    assert_eq!(done("/finish")[20], "disconnected");
}

#[test]
fn what_a_client_has_sent_before_it_was_lost_is_dropped() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/lost")).unwrap();
    client.send("forever");
    client.send("note");
    until("it waits", || done("/lost") == ["waiting"]);
    client.disconnect();
    until("on_disconnect", || done("/lost").len() == 3);
    assert_eq!(done("/lost"), ["waiting", "cancelled", "disconnected"]);
}

#[test]
fn a_client_that_goes_at_once_is_disconnected() {
    let host = Host::load::<Talk>();
    for _ in 0..50 {
        drop(host.connect(Request::new().path_info("/at-once")).unwrap());
    }
    drop(host);
    assert_eq!(done("/at-once"), ["disconnected"; 50]);
}

/// A plugin with callbacks that never end.
#[derive(Default)]
struct Endless;

static IS_BLOCKED: AtomicBool = AtomicBool::new(false);

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Endless {
    type Connection = bool;

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<bool, Rejection> {
        Ok(handshake.header("X-Block").is_some())
    }

    async fn on_message(&self, _: &mut bool, _: &Sender, _: Message<'_>) -> Result<(), Close> {
        tokio::task::spawn_blocking(|| {
            IS_BLOCKED.store(true, SeqCst);
            thread::sleep(Duration::from_secs(3600));
        });
        Ok(())
    }

    async fn on_disconnect(&self, _: bool, _: Disconnect) {
        pending::<()>().await;
    }
}

#[test]
fn what_never_ends_does_not_hang_the_end() {
    let host = Host::load::<Endless>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("block a thread");
    until("a thread blocks", || IS_BLOCKED.load(SeqCst));
    drop(client);
    let begin = Instant::now();
    drop(host);
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(2), "it took {took:?}");
    // Well below the nine seconds after which httpd kills a child.
    assert!(took < Duration::from_secs(6), "it took {took:?}");
    let log = unattached_log();
    let has = |part: &str| log.iter().any(|line| line.text.contains(part));
    assert!(
        has("[Endless] the callbacks of 1 connections have not completed"),
        "{log:?}"
    );
    assert!(
        has("[Endless] 1 threads of the runtime are blocked"),
        "{log:?}"
    );
}
