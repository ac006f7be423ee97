//! Refusals, errors and panics.

use crate::talk::{Talk, done};
use crate::{text, until};
use websocket_plugin::CloseCode;
use websocket_plugin::testing::{Host, Received, Request, unattached_log};

#[test]
fn a_handshake_may_wait_and_refuse() {
    let host = Host::load::<Talk>();
    let status = |what| host.connect(Request::new().header("X-Do", what)).err();
    assert_eq!(status("refuse"), Some(429));
    assert_eq!(status("panic"), Some(500));
    assert_eq!(status("fail"), Some(500));
    assert_eq!(status("nothing"), None);
    let log: Vec<_> = host.log().into_iter().map(|line| line.text).collect();
    assert!(
        log[0].starts_with("[Talk] on_connect panicked at "),
        "{log:?}"
    );
    assert!(log[0].ends_with(": no connection"), "{log:?}");
    assert_eq!(log[1], "[Talk] on_connect: no database");
}

#[test]
fn a_panic_ends_its_own_connection_with_1011() {
    for (message, why) in [("panic", "at once"), ("panic later", "later")] {
        let host = Host::load::<Talk>();
        let mut other = host.connect(Request::new()).unwrap();
        let mut client = host.connect(Request::new()).unwrap();
        client.send(message);
        client.send("not delivered");
        let closed = Received::Close(CloseCode::INTERNAL_ERROR, String::new());
        assert_eq!(client.receive(), closed);
        other.send("hello");
        assert_eq!(other.receive(), text("hello"));
        client.send("not delivered either");
        drop(client);
        drop(other);
        let log = host.log();
        assert!(
            log[0].text.starts_with("[Talk] on_message panicked at "),
            "{log:?}"
        );
        assert!(log[0].text.ends_with(&format!(": {why}")), "{log:?}");
    }
}

#[test]
fn a_panic_while_a_callback_is_cancelled_is_logged() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new().path_info("/bomb")).unwrap();
    client.send("panic in drop");
    until("it waits", || done("/bomb") == ["waiting"]);
    drop(client);
    until("on_disconnect", || {
        done("/bomb") == ["waiting", "disconnected"]
    });
    let is_told = |line: &str| line.contains("on_message panicked at") && line.contains("in drop");
    assert!(unattached_log().iter().any(|line| is_told(&line.text)));
}

#[test]
fn a_panic_in_on_disconnect_is_logged() {
    let host = Host::load::<Talk>();
    drop(
        host.connect(Request::new().path_info("/panic-at-the-end"))
            .unwrap(),
    );
    let is_told = |line: &str| line.contains("on_disconnect panicked at");
    until("a line", || {
        unattached_log().iter().any(|line| is_told(&line.text))
    });
}

#[test]
fn errors_and_close_codes_of_callbacks_that_have_waited_close_the_connection() {
    let host = Host::load::<Talk>();
    for (message, code) in [
        ("fail", CloseCode::INTERNAL_ERROR),
        ("close", CloseCode::GOING_AWAY),
    ] {
        let mut client = host.connect(Request::new()).unwrap();
        client.send(message);
        assert_eq!(client.receive(), Received::Close(code, String::new()));
    }
    assert_eq!(host.log()[0].text, "[Talk] on_message: no such key");
}

#[test]
fn lines_of_callbacks_belong_to_their_connection() {
    let host = Host::load::<Talk>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("log");
    assert_eq!(client.receive(), text("log"));
    let log: Vec<_> = host.log().into_iter().map(|line| line.text).collect();
    assert_eq!(log, ["[Talk] at once", "[Talk] later"]);
    client.close(CloseCode::NORMAL);
    drop(host);
    let is_told = |line: &str| line.ends_with("] gone: 1000") && line.contains("[client ");
    assert!(unattached_log().iter().any(|line| is_told(&line.text)));
}
