mod allowed;
mod errors;
mod presence;

use super::TopicServer;
use serde_json::{Value, json};
use websocket_plugin::testing::{Client, Host, Received, Request};

/// A host whose clients may do everything.
fn open_host() -> Host {
    Host::configure::<TopicServer>(&[("subscribe", "**"), ("publish", "**")]).unwrap()
}

fn received(client: &Client<'_>) -> Vec<Value> {
    let value = |received| match received {
        Received::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    };
    client.received().into_iter().map(value).collect()
}

/// What a client gets when it sends this: the answer is the last of it.
fn ask(client: &mut Client<'_>, request: &Value) -> Vec<Value> {
    client.send(request.to_string());
    received(client)
}

fn subscribe(client: &mut Client<'_>, topic: &str) -> Value {
    let request = json!({"type": "subscribe", "id": 1, "topic": topic});
    ask(client, &request).pop().unwrap()
}

fn publish(client: &mut Client<'_>, topic: &str, data: impl Into<Value>) -> Value {
    let data: Value = data.into();
    let request = json!({"type": "publish", "id": 2, "topic": topic, "data": data});
    ask(client, &request).pop().unwrap()
}

/// Subscribes after a position. Returns the data of the messages, and the answer.
fn resume(client: &mut Client<'_>, topic: &str, since: &str) -> (Vec<Value>, Value) {
    let request = json!({"type": "subscribe", "id": 3, "topic": topic, "since": since});
    let mut all = ask(client, &request);
    let answer = all.pop().unwrap();
    let data = all.into_iter().map(|mut message| message["data"].take());
    (data.collect(), answer)
}

#[test]
fn subscribers_in_all_processes_get_what_a_client_publishes() {
    let here = open_host();
    let there = here
        .another_process::<TopicServer>(&[("subscribe", "chat/*")])
        .unwrap();
    let mut alice = here.connect(Request::new()).unwrap();
    let mut bob = there.connect(Request::new()).unwrap();
    for client in [&mut alice, &mut bob] {
        let answer = subscribe(client, "chat/*");
        let expected =
            json!({"type": "subscribed", "id": 1, "topic": "chat/*", "recovery": "none"});
        assert_eq!(answer, expected);
    }
    let sent = [
        json!("a \"text\"\n\u{fc}"),
        json!(""),
        json!(null),
        json!(-1.5),
        json!([true, {"x": "[[\\\""}]),
    ];
    for data in &sent {
        let answer = publish(&mut alice, "chat/a", data.clone());
        let expected = json!({"type": "published", "id": 2, "topic": "chat/a"});
        assert_eq!(answer, expected);
    }
    publish(&mut alice, "chat/a/b", "nobody gets this");
    let expected = sent.map(|data| json!({"type": "message", "topic": "chat/a", "data": data}));
    assert_eq!(received(&bob), expected);
}

#[test]
fn a_text_reaches_other_plugins_as_it_is_and_other_data_as_the_client_has_written_it() {
    let host = open_host();
    host.keep_history("a", 10);
    let mut speaker = host.connect(Request::new()).unwrap();
    for data in [r#""\u0068i \ud83d\ude00""#, "[1.0,  1e999, \"\\u00fc\"]"] {
        speaker.send(format!(
            "  {{\"id\": 1, \"data\": {data} , \"topic\": \"\\u0061\", \"type\": \"publish\"}}"
        ));
    }
    let mut resumed = host.connect(Request::new()).unwrap();
    let since = "0000000000000001-0";
    resumed.send(json!({"type": "subscribe", "id": 1, "topic": "a", "since": since}).to_string());
    let texts = [
        "\"data\":\"hi \u{1f600}\"}",
        "\"data\":[1.0,  1e999, \"\\u00fc\"]}",
    ];
    let all = resumed.received();
    for (received, end) in all.iter().zip(texts) {
        assert!(
            matches!(received, Received::Text(text) if text.ends_with(end)),
            "{received:?}"
        );
    }
    assert_eq!(all.len(), 3);
}

#[test]
fn a_client_resumes_where_it_was_or_is_told_of_a_gap() {
    let host = open_host();
    host.keep_history("a", 3);
    let mut speaker = host.connect(Request::new()).unwrap();
    let first = publish(&mut speaker, "a", 1)["position"].take();
    let first = first.as_str().unwrap();
    for number in 2..=4 {
        publish(&mut speaker, "a", number);
    }
    let there = host
        .another_process::<TopicServer>(&[("subscribe", "a")])
        .unwrap();
    let mut client = there.connect(Request::new()).unwrap();
    let newest = first.replace("-1", "-4");
    let answer = |recovery: &str, position: &str| {
        json!({"type": "subscribed", "id": 3, "topic": "a", "position": position,
               "recovery": recovery})
    };
    let (missed, complete) = resume(&mut client, "a", first);
    assert_eq!(missed, [2, 3, 4]);
    assert_eq!(complete, answer("complete", &newest));
    let newer = first.replace("-1", "-5");
    assert_eq!(publish(&mut speaker, "a", 5)["position"], *newer);
    let live = json!({"type": "message", "topic": "a", "position": newer, "data": 5});
    assert_eq!(received(&client), [live]);
    let (nothing, complete) = resume(&mut client, "a", &newer);
    assert_eq!((nothing, complete), (vec![], answer("complete", &newer)));
    for lost in [first, "0123456789abcdef-5"] {
        let (nothing, gap) = resume(&mut client, "a", lost);
        assert_eq!((nothing, gap), (vec![], answer("gap", &newer)));
    }
    let plain = subscribe(&mut client, "a");
    assert_eq!(
        (&plain["recovery"], &plain["position"]),
        (&json!("none"), &json!(newer))
    );
}

#[test]
fn nothing_comes_after_a_subscription_has_ended() {
    let host = open_host();
    let mut client = host.connect(Request::new()).unwrap();
    for topic in ["a", "b/*"] {
        subscribe(&mut client, topic);
    }
    for topic in ["a", "b/*", "never"] {
        let request = json!({"type": "unsubscribe", "id": 7, "topic": topic});
        let left = json!({"type": "unsubscribed", "id": 7, "topic": topic});
        assert_eq!(ask(&mut client, &request), [left]);
    }
    let mut speaker = host.connect(Request::new()).unwrap();
    for topic in ["a", "b/c"] {
        publish(&mut speaker, topic, "x");
    }
    assert_eq!(received(&client), [json!(null); 0]);
}
