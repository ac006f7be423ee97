//! Requests that fail.

use super::{ask, open_host, publish, received, subscribe};
use serde_json::{Value, json};
use websocket_plugin::CloseCode;
use websocket_plugin::testing::{Client, Received, Request};

fn answer_to(client: &mut Client<'_>, text: &str) -> Value {
    client.send(text);
    let mut all = received(client);
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

#[test]
fn what_is_no_request_is_answered_with_an_error_and_the_connection_goes_on() {
    let host = open_host();
    let mut client = host.connect(Request::new()).unwrap();
    for (text, id) in [
        ("", None),
        ("nonsense", None),
        ("1", None),
        (r#"["subscribe", 1, "a"]"#, None),
        (r#"{"type":"subscribe","topic":"a"}"#, None),
        (r#"{"type":"subscribe","id":"1","topic":"a"}"#, None),
        (r#"{"type":"subscribe","id":-1,"topic":"a"}"#, None),
        (r#"{"type":"subscribe","id":1.5,"topic":"a"}"#, None),
        (r#"{"type":"subscribe","id":5}"#, Some(5)),
        (r#"{"type":"subscribe","id":5,"topic":7}"#, Some(5)),
        (
            r#"{"type":"subscribe","id":5,"topic":"a","topic":"b"}"#,
            Some(5),
        ),
        (
            r#"{"type":"subscribe","id":5,"topic":"a","sicne":"x"}"#,
            Some(5),
        ),
        (
            r#"{"type":"subscribe","id":5,"topic":"a","since":"x"}"#,
            Some(5),
        ),
        (
            r#"{"type":"subscribe","id":5,"topic":"a","data":null}"#,
            Some(5),
        ),
        (
            r#"{"type":"unsubscribe","id":5,"topic":"a","since":"x"}"#,
            Some(5),
        ),
        (r#"{"type":"shout","id":5,"topic":"a"}"#, Some(5)),
        (r#"{"type":"publish","id":5,"topic":"a"}"#, Some(5)),
        (
            r#"{"type":"publish","id":5,"topic":"a","data":1,"list":true}"#,
            Some(5),
        ),
        (
            r#"{"type":"publish","id":5,"topic":"a","data":"\ud800"}"#,
            Some(5),
        ),
        (
            r#"{"type":"presence","id":18446744073709551615,"topic":"a","list":1}"#,
            Some(u64::MAX),
        ),
        (r#"{"type":"presence","id":5,"topic":"a"} {}"#, None),
    ] {
        let answer = answer_to(&mut client, text);
        assert_eq!(answer["type"], "error", "{text}: {answer}");
        assert_eq!(answer["code"], "bad-request", "{text}: {answer}");
        assert_eq!(answer.get("id"), id.map(|id| json!(id)).as_ref(), "{text}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    client.send(b"{}");
    assert_eq!(
        received(&client)[0]["message"],
        "a request is a text message"
    );
    assert_eq!(subscribe(&mut client, "a")["type"], "subscribed");
}

#[test]
fn an_error_does_not_send_back_all_that_the_client_has_sent() {
    let host = open_host();
    let mut client = host.connect(Request::new()).unwrap();
    let long = "\u{fc}".repeat(100_000);
    let answer = answer_to(
        &mut client,
        &format!(r#"{{"type":"{long}","id":5,"topic":"a"}}"#),
    );
    assert!(answer.to_string().len() < 400, "{answer}");
}

#[test]
fn what_is_no_topic_is_told_apart_from_what_is_not_allowed() {
    let host = open_host();
    let mut client = host.connect(Request::new()).unwrap();
    for topic in ["", "/a", "a//b", "*/a", "a\n"] {
        assert_eq!(
            subscribe(&mut client, topic)["code"],
            "bad-topic",
            "{topic:?}"
        );
        assert_eq!(
            publish(&mut client, topic, 1)["code"],
            "bad-topic",
            "{topic:?}"
        );
    }
    let position = "0000000000000001-1";
    for request in [
        json!({"type": "publish", "id": 9, "topic": "a/*", "data": 1}),
        json!({"type": "presence", "id": 9, "topic": "a/*"}),
        json!({"type": "subscribe", "id": 9, "topic": "a/*", "since": position}),
    ] {
        let answer = ask(&mut client, &request).pop().unwrap();
        assert_eq!(
            (&answer["id"], &answer["code"]),
            (&json!(9), &json!("bad-topic"))
        );
    }
}

#[test]
fn a_connection_has_a_limited_number_of_subscriptions() {
    let host = open_host();
    let mut client = host.connect(Request::new()).unwrap();
    for number in 0..128 {
        let answer = subscribe(&mut client, &format!("a/{number}"));
        assert_eq!(answer["type"], "subscribed");
    }
    assert_eq!(subscribe(&mut client, "b")["code"], "limit");
    assert_eq!(subscribe(&mut client, "a/0")["type"], "subscribed");
}

#[test]
fn data_that_is_nested_deeply_is_not_published() {
    let host = open_host();
    let mut client = host.connect(Request::new()).unwrap();
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"publish","id":5,"topic":"a","data":{open}"]\"["{close}}}"#)
    };
    assert_eq!(answer_to(&mut client, &nested(64))["type"], "published");
    for depth in [65, 100_000] {
        assert_eq!(
            answer_to(&mut client, &nested(depth))["code"],
            "bad-request"
        );
    }
    let wide = format!("[{}[]]", "[[]],{},".repeat(1000));
    let wide = format!(r#"{{"type":"publish","id":5,"topic":"a","data":{wide}}}"#);
    assert_eq!(answer_to(&mut client, &wide)["type"], "published");
}

#[test]
fn a_client_that_does_not_read_its_answers_is_told_to_come_back_later() {
    let host = open_host();
    let mut client = host.connect(Request::new()).unwrap();
    client.stop_reading();
    client.send("nonsense");
    let reason = "you do not read the answers".to_owned();
    assert_eq!(
        client.received(),
        [Received::Close(CloseCode::TRY_AGAIN_LATER, reason)]
    );
}
