//! A sender may be used from any thread, at any time.
#![forbid(unsafe_code)]

use std::sync::Mutex;
use std::thread;
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, Handshake, Message, Plugin, Rejection, SendError, Sender, websocket_plugin,
};

#[derive(Default)]
struct Keeper;

static KEPT: Mutex<Vec<Sender>> = Mutex::new(Vec::new());

#[websocket_plugin]
impl Plugin for Keeper {
    fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
        match message {
            Message::Text("keep") => KEPT.lock().unwrap().push(to.clone()),
            Message::Text("ping") => {
                assert_eq!(to.ping(&[0; 126]), Err(SendError::PingTooLong));
                to.ping(b"are you there")?;
            }
            // Threads may use the borrowed sender of a callback if they end before it does.
            Message::Text(_) => thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| to.send("from a thread").unwrap());
                }
            }),
            Message::Binary(_) => to.close(Close::new(CloseCode::NORMAL, "bye"))?,
        }
        Ok(())
    }
}

fn kept() -> Sender {
    KEPT.lock().unwrap().pop().unwrap()
}

/// Keeps tests apart that use the kept senders.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn a_kept_sender_works_until_the_connection_is_gone() {
    let _one = ONE_AT_A_TIME.lock();
    let host = Host::load::<Keeper>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("keep");
    let sender = kept();
    let thread = thread::spawn(move || {
        sender.send("later").unwrap();
        sender
    });
    assert_eq!(client.receive(), Received::Text("later".into()));
    let sender = thread.join().unwrap();
    client.disconnect();
    drop(host);
    for sender in [sender.clone(), sender] {
        assert!(!sender.is_open());
        assert_eq!(sender.send("too late"), Err(SendError::Closed));
        assert_eq!(sender.ping(b""), Err(SendError::Closed));
        assert_eq!(sender.close(CloseCode::NORMAL), Err(SendError::Closed));
    }
}

#[test]
fn a_client_may_disconnect_while_threads_send() {
    let _one = ONE_AT_A_TIME.lock();
    let host = Host::load::<Keeper>();
    for _ in 0..if cfg!(miri) { 3 } else { 100 } {
        let mut client = host.connect(Request::new()).unwrap();
        client.send("keep");
        let sender = kept();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || while sender.send("x").is_ok() {})
            })
            .collect();
        let _ = client.receive();
        client.disconnect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn pings_and_close_frames_are_sent() {
    let host = Host::load::<Keeper>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("ping");
    client.send("threads");
    client.send(b"close");
    let received = client.received();
    assert_eq!(
        received.first(),
        Some(&Received::Ping(b"are you there".to_vec()))
    );
    assert_eq!(
        received
            .iter()
            .filter(|r| matches!(r, Received::Text(_)))
            .count(),
        4
    );
    assert_eq!(
        received.last(),
        Some(&Received::Close(CloseCode::NORMAL, "bye".into()))
    );
}

#[test]
fn try_send_does_not_wait_for_a_client_that_does_not_read() {
    let _one = ONE_AT_A_TIME.lock();
    let host = Host::load::<Keeper>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("keep");
    let sender = kept();
    sender.try_send("first").unwrap();
    client.stop_reading();
    assert_eq!(sender.try_send("lost"), Err(SendError::Full));
    assert_eq!(sender.try_send(b"lost"), Err(SendError::Full));
    client.resume_reading();
    sender.try_send("second").unwrap();
    client.stop_reading();
    // There is always room for a close frame. After it, the connection is closed and not full.
    sender.close(CloseCode::TRY_AGAIN_LATER).unwrap();
    assert_eq!(sender.try_send("late"), Err(SendError::Closed));
    let text = |text: &str| Received::Text(text.into());
    let close = Received::Close(CloseCode::TRY_AGAIN_LATER, String::new());
    assert_eq!(client.received(), [text("first"), text("second"), close]);
    client.disconnect();
    assert_eq!(sender.try_send("too late"), Err(SendError::Closed));
}

#[derive(Default)]
struct Early;

#[websocket_plugin]
impl Plugin for Early {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        handshake.sender().send("welcome")?;
        KEPT.lock().unwrap().push(handshake.sender());
        handshake.user().map(drop).ok_or(Rejection::UNAUTHORIZED)
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn the_sender_of_a_refused_client_is_closed() {
    let _one = ONE_AT_A_TIME.lock();
    let host = Host::load::<Early>();
    assert_eq!(host.connect(Request::new()).err(), Some(401));
    assert_eq!(kept().send("hello"), Err(SendError::Closed));
    let client = host.connect(Request::new().user("alice")).unwrap();
    assert_eq!(client.received(), [Received::Text("welcome".into())]);
    assert!(kept().is_open());
}
