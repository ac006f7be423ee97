//! What callbacks send, and wait for.

use crate::talk::{Talk, done};
use crate::{text, until};
use std::sync::Mutex;
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    AsyncPlugin, Close, CloseCode, Handshake, Message, Rejection, SendError, Sender,
    websocket_plugin,
};

#[test]
fn on_drain_is_called_when_the_client_reads_again() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new()).unwrap();
    client.stop_reading();
    client.send("try");
    // The callback may run on another thread.
    assert_eq!(client.receive(), text("tried"));
    client.resume_reading();
    assert_eq!(client.receive(), text("drained"));
}

#[test]
fn a_close_wakes_those_who_wait_for_room() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/room")).unwrap();
    client.stop_reading();
    client.send("close while a task waits for room");
    until("the task is woken", || done("/room") == ["woken"]);
}

#[test]
fn send_async_waits_until_the_client_reads() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/full")).unwrap();
    client.stop_reading();
    client.send("hello");
    client.send("close");
    assert_eq!(done("/full"), [""; 0]);
    client.resume_reading();
    assert_eq!(client.receive(), text("hello"));
    assert_eq!(
        client.receive(),
        Received::Close(CloseCode::GOING_AWAY, String::new())
    );
}

#[test]
fn a_sender_that_outlives_its_connection_is_closed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    static KEPT: Mutex<Option<Sender>> = Mutex::new(None);

    #[derive(Default)]
    struct Keeper;

    #[websocket_plugin]
    impl AsyncPlugin for Keeper {
        async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
            *KEPT.lock().unwrap() = Some(handshake.sender());
            Ok(())
        }

        async fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
            Ok(())
        }
    }

    let host = Host::load::<Keeper>();
    drop(host.connect(Request::new()).unwrap());
    let kept = KEPT.lock().unwrap().take().unwrap();
    assert_eq!(
        runtime.block_on(kept.send_async("late")),
        Err(SendError::Closed)
    );
}
