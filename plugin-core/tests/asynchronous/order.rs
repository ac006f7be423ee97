//! The order of callbacks, and the threads that they run on.

use crate::talk::Talk;
use crate::text;
use std::thread;
use std::time::{Duration, Instant};
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{AsyncPlugin, Close, CloseCode, Message, Sender, websocket_plugin};

/// Answers with the thread that answers.
#[derive(Default)]
struct Place;

#[websocket_plugin]
impl AsyncPlugin for Place {
    async fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(to.send(format!("{:?}", thread::current().id()))?)
    }
}

#[test]
fn a_callback_that_does_not_wait_completes_on_the_thread_that_delivers() {
    let host = Host::load::<Place>();
    let mut client = host.connect(Request::new()).unwrap();
    let here = text(&format!("{:?}", thread::current().id()));
    // The runtime has to take up the connection first.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        client.send("where?");
        if client.receive() == here {
            break;
        }
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn callbacks_of_a_connection_run_in_order_and_those_of_others_go_on() {
    let host = Host::load::<Talk>();
    let mut first = host.connect(Request::new()).unwrap();
    let mut stuck = host.connect(Request::new().path_info("/stuck")).unwrap();
    stuck.send("forever");
    let mut expected = Vec::new();
    for number in 0..30 {
        first.send("wait");
        first.send(number.to_string());
        expected.extend([text("wait"), text(&number.to_string())]);
    }
    let received: Vec<_> = expected.iter().map(|_| first.receive()).collect();
    assert_eq!(received, expected);
    assert_eq!(stuck.received(), []);
}

#[test]
fn events_come_in_order_with_messages_and_are_dropped_at_the_end() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/events")).unwrap();
    client.send("wait");
    for number in 0..3 {
        client.send(format!("post {number}"));
    }
    let received: Vec<_> = (0..4).map(|_| client.receive()).collect();
    let expected = ["wait", "event 0", "event 1", "event 2"].map(text);
    assert_eq!(received, expected);
    client.send("post later");
    client.send("hello");
    assert_eq!(client.receive(), text("hello"));
    host.advance(Duration::from_secs(60));
    assert_eq!(client.receive(), text("event later"));
    client.send("panic in event");
    let closed = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
    assert_eq!(client.receive(), closed);
}

#[test]
fn too_many_events_are_refused() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/many")).unwrap();
    client.send("post too many");
    let Received::Text(answer) = client.receive() else {
        panic!("no text");
    };
    let count: usize = answer.parse().unwrap();
    // Those in the module's mailbox, and those in that of the plugin.
    assert!((1024..=2048).contains(&count), "{count}");
}

#[test]
fn callbacks_may_spawn_tasks() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("spawn");
    assert_eq!(client.receive(), text("spawned"));
}

#[test]
fn tests_may_be_async_themselves() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let host = Host::load::<Talk>();
        let mut client = host.connect(Request::new()).unwrap();
        client.send("wait");
        assert_eq!(client.receive(), text("wait"));
    });
}
